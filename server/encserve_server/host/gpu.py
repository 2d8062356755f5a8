"""The NVIDIA GPU of this host, asked through its driver's own tool."""

import shutil
import subprocess

TIMEOUT_S = 20


def gpu_architecture() -> str | None:
    """Return the architecture of the first GPU, such as "sm_90"; None where there is no GPU or no driver.

    A plan of TensorRT runs on the architecture that it was built for.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.split()
    return f"sm_{lines[0].replace('.', '')}" if lines and lines[0].replace(".", "").isdecimal() else None
