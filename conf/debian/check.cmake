# Read by cpack before it begins. Programs know where their configuration is, so the place is chosen when they are built.
if(NOT CPACK_PACKAGING_INSTALL_PREFIX STREQUAL /usr)
    message(FATAL_ERROR "a package installs below /usr: conf/release.sh build -DCMAKE_INSTALL_PREFIX=/usr")
endif()
# Without them cpack makes none, or one that depends on no library.
find_program(file_program file)
find_program(shlibdeps_program dpkg-shlibdeps)
if(NOT file_program OR NOT shlibdeps_program)
    message(FATAL_ERROR "a package needs file and dpkg-shlibdeps: apt-get install file dpkg-dev")
endif()
