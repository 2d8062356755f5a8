"""The texts that an export looks at: to calibrate, to choose among ways, and to certify."""
