"""An FP32 graph turned to fp16: which nodes stay FP32, and how a CPU rounds as a GPU does."""
