# The files with a bug planted in them (proto/base/plant.h), compiled once more with PB_PLANT: linked before the libraries that have them without.
add_library(pb_planted OBJECT ${CMAKE_SOURCE_DIR}/replication/group_step.c ${CMAKE_SOURCE_DIR}/replication/group_peers.c
  ${CMAKE_SOURCE_DIR}/replication/copy_out.c ${CMAKE_SOURCE_DIR}/replication/raft_lease.c ${CMAKE_SOURCE_DIR}/storage/mailbox/message.c)
target_compile_definitions(pb_planted PUBLIC PB_PLANT)
target_link_libraries(pb_planted PUBLIC pb_storage)
set(LINK pb_planted pb_sim_mail)
set(LABEL "sim;full")
