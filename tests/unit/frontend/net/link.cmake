set(LINK pb_net pb_base pb_boringssl)
