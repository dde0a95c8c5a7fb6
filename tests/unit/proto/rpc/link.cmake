set(LINK pb_rpc pb_boringssl)
