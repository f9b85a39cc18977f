# Presses Ctrl-C at random moments of a lesson's run: it must end with status 130, what there is so
# far and how to go on. A lesson that trains (TRAINS) goes on from there each time, and must come to
# the end that a run without Ctrl-C has, the same numbers and weights to the last bit.
#     cmake -D PROGRAM=... -D WORK=... -D TRAINS=ON -P interrupted.cmake
include(${CMAKE_CURRENT_LIST_DIR}/whole.cmake)
file(REMOVE_RECURSE ${WORK})
get_filename_component(name ${PROGRAM} NAME)
set(whole ${WORK}/whole/${name})
set(stopped ${WORK}/stopped/${name})
run_whole(duration ${PROGRAM} --quick --epochs 2 --out ${WORK}/whole)
set(lesson ${PROGRAM} --quick --epochs 2 --resume --out ${WORK}/stopped)
set(advice "To begin again:\n[^\n]*\n")
if(TRAINS)
  set(advice "To go on:\n[^\n]* --resume\n")
endif()

# Six moments, of which three are in the first tenth of a second. Other runs have other moments.
foreach(limit 20 50 100 ${duration} ${duration} ${duration})
  random_seconds(${limit} seconds)
  # In the foreground timeout sends one signal; otherwise two, the second of which ends a lesson.
  execute_process(
    COMMAND timeout --foreground --signal=INT --preserve-status ${seconds} ${lesson}
    OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE status)
  message(STATUS "Ctrl-C after ${seconds} s: ${status}")
  if(NOT status EQUAL 130 AND NOT status EQUAL 0)  # 0: it was done by then
    message(FATAL_ERROR "${PROGRAM}: status ${status} after Ctrl-C at ${seconds} s\n${out}")
  elseif(status EQUAL 130 AND out MATCHES "Lesson" AND
         NOT out MATCHES "Stopping here.*results.json.*${advice}")  # else it had not yet begun
    message(FATAL_ERROR "${PROGRAM} does not say what there is, or how to go on\n${out}")
  endif()
  require_whole_files(${stopped})
  require_no_left_overs(${stopped})
endforeach()

run_whole(duration ${lesson})
require_whole_files(${stopped})
digests(${whole} weights_whole)
digests(${stopped} weights_stopped)
if(NOT weights_whole STREQUAL weights_stopped)
  message(FATAL_ERROR "other weights:\n${weights_whole}\n${weights_stopped}")
endif()
if(NOT TRAINS)
  return()
endif()
foreach(run whole stopped)
  file(READ ${WORK}/${run}/${name}/results.json results_${run})
  string(REGEX REPLACE "\"seconds\": [^\n]*" "" results_${run} "${results_${run}}")
endforeach()
if(NOT results_whole STREQUAL results_stopped)
  message(FATAL_ERROR "other numbers:\n${results_whole}\n${results_stopped}")
elseif(NOT weights_whole)
  message(FATAL_ERROR "there are no weights")
endif()
