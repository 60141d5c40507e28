# Run by cpack on the files of a package before it is built: Debian keeps manual pages and the changelog compressed.
file(GLOB_RECURSE files "${CPACK_TEMPORARY_DIRECTORY}/usr/share/man/*.[1-9]"
    "${CPACK_TEMPORARY_DIRECTORY}/usr/share/doc/rondo/changelog")
if(files)
    execute_process(COMMAND gzip -9n ${files} COMMAND_ERROR_IS_FATAL ANY)
endif()
