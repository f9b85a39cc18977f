# Presses Ctrl-C at several moments of a lesson's run: it must end with status 130, what there is so
# far and how to go on, and --resume must then bring it to the end that a run without Ctrl-C has, the
# same numbers and weights to the last bit.
#     cmake -D PROGRAM=... -D WORK=... -P interrupted.cmake
file(REMOVE_RECURSE ${WORK})
get_filename_component(name ${PROGRAM} NAME)
set(lesson ${PROGRAM} --quick --epochs 2 --out ${WORK}/stopped)
foreach(seconds 0.01 0.05 0.2 0.8)
  # In the foreground timeout sends one signal; otherwise two, the second of which ends a lesson.
  execute_process(
    COMMAND timeout --foreground --signal=INT --preserve-status ${seconds} ${lesson}
    OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE status)
  message(STATUS "Ctrl-C after ${seconds} s: ${status}")
  if(status EQUAL 0)
    break()  # it was done by then
  elseif(NOT status EQUAL 130)
    message(FATAL_ERROR "${PROGRAM}: status ${status} after Ctrl-C at ${seconds} s\n${out}")
  elseif(out MATCHES "Stopping here" AND NOT out MATCHES "results.json.*To go on:\n.* --resume\n")
    message(FATAL_ERROR "${PROGRAM} does not say what there is, or how to go on\n${out}")
  endif()
endforeach()
execute_process(COMMAND ${lesson} --resume
  OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} --resume: status ${status}\n${out}")
endif()

execute_process(COMMAND ${PROGRAM} --quick --epochs 2 --out ${WORK}/whole OUTPUT_QUIET)
foreach(run whole stopped)
  file(READ ${WORK}/${run}/${name}/results.json results_${run})
  string(REGEX REPLACE "\"seconds\": [^\n]*" "" results_${run} "${results_${run}}")
  set(weights_${run} "")
  file(GLOB files RELATIVE ${WORK}/${run} ${WORK}/${run}/${name}/*.safetensors)
  foreach(file IN LISTS files)
    file(SHA256 ${WORK}/${run}/${file} digest)
    list(APPEND weights_${run} "${file} ${digest}")
  endforeach()
endforeach()
if(NOT results_whole STREQUAL results_stopped)
  message(FATAL_ERROR "other numbers:\n${results_whole}\n${results_stopped}")
elseif(NOT weights_whole STREQUAL weights_stopped OR NOT weights_whole)
  message(FATAL_ERROR "other weights:\n${weights_whole}\n${weights_stopped}")
endif()
