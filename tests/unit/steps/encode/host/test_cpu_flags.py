from encserve_server.steps.encode.host.cpu_flags import BF16, VNNI, lacks, parse_cpu_flags, read_cpu_flags

CPUINFO = """processor	: 0
model name	: AMD EPYC
flags		: fpu avx512f avx512_bf16 avx512_vnni
bugs		: sysret_ss_attrs

processor	: 1
flags		: fpu
"""


def test_flags_are_those_of_the_first_processor():
    assert parse_cpu_flags(CPUINFO) == {"fpu", "avx512f", "avx512_bf16", "avx512_vnni"}


def test_a_host_without_cpuinfo_has_no_flags(tmp_path):
    assert read_cpu_flags(tmp_path / "cpuinfo") == frozenset()
    assert parse_cpu_flags("Features : neon\n") == frozenset()


def test_one_of_several_flags_is_enough():
    assert lacks(frozenset({"amx_bf16"}), BF16) == ""
    assert lacks(frozenset({"avx_vnni"}), VNNI) == ""
    assert lacks(frozenset({"avx2"}), BF16) == "avx512_bf16 or amx_bf16"
    assert lacks(frozenset(), ()) == ""
