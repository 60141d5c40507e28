# Read by cpack before it begins. Programs know where their configuration is, so the place is chosen when they are built.
if(NOT CPACK_PACKAGING_INSTALL_PREFIX STREQUAL /usr)
    message(FATAL_ERROR "a package installs below /usr: conf/release.sh build -DCMAKE_INSTALL_PREFIX=/usr")
endif()
