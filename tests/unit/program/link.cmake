set(LINK pb_cluster_tls pb_config pb_rpc pb_boringssl)
