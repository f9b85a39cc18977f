# Trains the VAE of lesson 13 with different numbers of threads, and once more with the first of
# them: the weights must be the same to the last bit.
#     cmake -D PROGRAM=... -D WORK=... -P same_bits.cmake
foreach(threads 1 2 3 8 1)
  set(out ${WORK}/${threads})
  file(REMOVE_RECURSE ${out})
  execute_process(
    COMMAND ${CMAKE_COMMAND} -E env GRADUS_NUM_THREADS=${threads}
            ${PROGRAM} --quick --epochs 1 --out ${out}
    OUTPUT_QUIET RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} with ${threads} threads: status ${status}")
  endif()
  file(SHA256 ${out}/13_vae/vae.safetensors digest)
  message(STATUS "${threads} threads: ${digest}")
  if(NOT DEFINED first)
    set(first ${digest})
  elseif(NOT digest STREQUAL first)
    message(FATAL_ERROR "the weights depend on the number of threads, or on the run")
  endif()
endforeach()
