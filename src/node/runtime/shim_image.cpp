// The shim's program as bytes of ours: one binary to install, nothing to find at run time.
__asm__(
    ".section .rodata\n"
    ".global rs_shim_begin\n"
    ".global rs_shim_end\n"
    ".balign 16\n"
    "rs_shim_begin:\n"
    ".incbin \"" RS_SHIM_PATH "\"\n"
    "rs_shim_end:\n"
    ".byte 0\n"
    ".previous\n");
