# The house has an order: a file includes only headers of floors below it, or listed above it on its own
# floor. Run by ctest as `layers`: cmake -DROOT=<source directory> -P layers.cmake
#
# What may know what is in these two lists and nowhere else. A new module goes into ORDER above the first
# one that needs it.
cmake_minimum_required(VERSION 3.25)
set(ORDER
    base/str base/log base/slab base/buf
    event/task event/timer event/loop event/net event/pipes event/resolve
    http/head http/guard http/parse http/body http/write http/conn
    upstream/latency upstream/record upstream/budget upstream/backend upstream/ring upstream/verdict upstream/probe upstream/names
    proxy/access_line proxy/access_log proxy/rules proxy/retry proxy/relay proxy/service proxy/exchange
    proxy/session proxy/listener
    server/arena server/config server/config_errors server/config_node server/config_text server/config_token
    server/config_syntax server/config_file server/settings server/setting_list server/setting_value
    server/config_load server/config_dump server/config_changes server/settings_text
    server/probe_table server/inheritance server/handover server/entrances server/supervisor server/options
    server/events server/metrics server/status server/page server/admin server/lineup
    server/descriptors server/daemon)

# Library headers that one file alone may include, so that the library can be replaced there.
set(ALONE
    sys/epoll.h:src/event/loop.c
    llhttp.h:src/http/parse.c
    ares.h:src/event/resolve.c
    libconfig.h:src/server/config_file.c)

# ---- checking --------------------------------------------------------------------------------------
set(failures 0)
macro(complain file text)
    message(SEND_ERROR "${file}: ${text}")
    math(EXPR failures "${failures} + 1")
endmacro()

# The module a file belongs to: that of its own name where there is such a header, else that of the header
# it includes first, whose second body it is.
function(module_of file includes module)
    string(REGEX REPLACE "^(src|include)/|\\.[ch]$" "" name ${file})
    if(NOT EXISTS ${ROOT}/include/${name}.h AND includes MATCHES "^\"([a-z]+/[a-z_]+)\\.h\"")
        set(name ${CMAKE_MATCH_1})
    endif()
    set(${module} ${name} PARENT_SCOPE)
endfunction()

function(check_order file module included)
    string(REGEX REPLACE "\\.h$" "" other ${included})
    list(FIND ORDER ${module} own_place)
    list(FIND ORDER ${other} place)
    if(place EQUAL -1)
        complain(${file} "includes \"${included}\", which is not in the list")
    elseif(place GREATER own_place)
        complain(${file} "includes \"${included}\", which is above ${module} in the house")
    endif()
    set(failures ${failures} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/src/*.[ch] ${ROOT}/include/*.h)
list(SORT files)
foreach(file ${files})
    file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include")
    list(TRANSFORM lines REPLACE "^[ \t]*#[ \t]*include[ \t]*([\"<][^\">]*[\">]).*" "\\1")

    foreach(rule ${ALONE})
        string(REPLACE ":" ";" rule ${rule})
        list(GET rule 0 header)
        list(GET rule 1 owner)
        if("<${header}>" IN_LIST lines AND NOT file STREQUAL owner)
            complain(${file} "includes <${header}>, which is for ${owner} alone")
        endif()
    endforeach()

    if(file MATCHES "^src/(main\\.c|rondoctl/)")
        continue()
    endif()
    module_of(${file} "${lines}" module)
    if(NOT module IN_LIST ORDER)
        complain(${file} "${module} is not in the list")
        continue()
    endif()
    if(file MATCHES "\\.c$" AND NOT lines MATCHES "^\"${module}\\.h\"")
        complain(${file} "must include \"${module}.h\" first")
    endif()
    foreach(line ${lines})
        if(line MATCHES "^\"([a-z]+/.*)\"$")
            check_order(${file} ${module} ${CMAKE_MATCH_1})
        elseif(line MATCHES "^\"" AND NOT line MATCHES "^\"[a-z_]+_impl\\.h\"$")
            complain(${file} "includes ${line}, which names no floor and is no private header")
        endif()
    endforeach()
endforeach()

list(LENGTH files count)
if(count EQUAL 0)
    message(FATAL_ERROR "no files under ROOT=${ROOT}")
endif()
message(STATUS "${count} files, ${failures} wrong")
