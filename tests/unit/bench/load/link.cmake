set(LINK pb_bench_parts)
