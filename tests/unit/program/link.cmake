set(LINK pb_config)
