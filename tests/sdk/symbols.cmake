# cmake -DNM=<nm> -DLIBRARY=<libhearth_sdk.so> -DLIST=<symbols.txt> [-DWRITE=ON] -P symbols.cmake
# The functions that the library gives to plugins are those of the list. A plugin that was built before needs every one of them: where
# one goes, HEARTH_API_MAJOR rises; where one comes, HEARTH_API_MINOR does, and WRITE writes the list anew.
execute_process(COMMAND ${NM} --dynamic --demangle --defined-only ${LIBRARY} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE ";" "," symbols "${symbols}")
string(REGEX MATCHALL "[0-9a-f]+ [TDRB] [^\n]*hearth::[^\n]*" found "${symbols}")
list(TRANSFORM found REPLACE "^[0-9a-f]+ [TDRB] " "")
list(TRANSFORM found REPLACE "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >" "std::string")
list(REMOVE_DUPLICATES found)   # constructors are there twice
list(SORT found)
list(JOIN found "\n" text)
if(WRITE)
  file(WRITE ${LIST} "${text}\n")
endif()
file(STRINGS ${LIST} expected)
set(gone ${expected})
list(REMOVE_ITEM gone ${found})
set(new ${found})
list(REMOVE_ITEM new ${expected})
if(gone OR new)
  list(JOIN gone "\n    " gone)
  list(JOIN new "\n    " new)
  message(FATAL_ERROR "${LIBRARY}: found other functions than ${LIST} lists\n  gone, HEARTH_API_MAJOR has to rise:\n    ${gone}\n"
    "  new, HEARTH_API_MINOR has to rise:\n    ${new}\n  then run this script with -DWRITE=ON")
endif()
list(LENGTH found count)
message(STATUS "${count} functions, as listed")
