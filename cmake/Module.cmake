# module(NAME <room> LAYER <n> [DEPS <rooms>…] [LIBS <libraries>…] [TEST_DEPS <rooms>…] [TEST_LIBS …])
#
# One room of the house: every *.cpp of the folder (and of its sub-folders) becomes library rs_<room>; every *_test.cpp
# becomes part of the test program <room>_test. A room may use only rooms of lower layers: configuration stops
# otherwise. tests/tidy_test checks that includes agree with DEPS.
function(module)
  cmake_parse_arguments(M "" "NAME;LAYER" "DEPS;LIBS;TEST_DEPS;TEST_LIBS" ${ARGN})
  set_property(GLOBAL PROPERTY rs_layer_${M_NAME} ${M_LAYER})
  set_property(GLOBAL APPEND PROPERTY rs_rooms ${M_NAME})
  foreach(dep ${M_DEPS})
    get_property(layer GLOBAL PROPERTY rs_layer_${dep})
    if(layer STREQUAL "")
      message(FATAL_ERROR "room '${M_NAME}' uses room '${dep}', which is not configured before it")
    elseif(NOT layer LESS M_LAYER)
      message(FATAL_ERROR "room '${M_NAME}' (layer ${M_LAYER}) may not use room '${dep}' (layer ${layer}): "
                          "includes go downwards only, see src/README.md")
    endif()
  endforeach()

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  list(TRANSFORM M_DEPS PREPEND rs_ OUTPUT_VARIABLE dep_targets)
  list(TRANSFORM M_TEST_DEPS PREPEND rs_ OUTPUT_VARIABLE test_dep_targets)

  add_library(rs_${M_NAME} STATIC ${sources})
  target_link_libraries(rs_${M_NAME} PUBLIC roadstead_flags ${dep_targets} ${M_LIBS} fmt::fmt Boost::json Threads::Threads)
  if(M_NAME STREQUAL "base")
    target_precompile_headers(rs_base PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.h)
  else()
    target_precompile_headers(rs_${M_NAME} REUSE_FROM rs_base)
  endif()

  if(tests)
    add_executable(${M_NAME}_test ${tests})
    target_link_libraries(${M_NAME}_test PRIVATE rs_${M_NAME} ${test_dep_targets} ${M_TEST_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
    target_precompile_headers(${M_NAME}_test REUSE_FROM rs_base)
    add_test(NAME ${M_NAME}_test COMMAND ${M_NAME}_test --gtest_brief=1 WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${M_NAME}_test PROPERTIES TIMEOUT 300)
  endif()
endfunction()
