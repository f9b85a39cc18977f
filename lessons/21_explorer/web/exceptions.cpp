// The stand-in for the C++ runtime's exceptions, which WASI's library of version 16 is without:
// what is thrown leaves C++ for good and arrives in JavaScript as an Error with the same text.
// Nothing is unwound and nothing is caught on the way, so the page then makes a new instance.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <typeinfo>

#include "tensor/error.hpp"

// Given by the page; does not come back.
extern "C" __attribute__((import_module("page"), import_name("fail"))) void page_fail(
    const char* text, std::size_t length);

namespace {

[[noreturn]] void leave(const char* text) {
  page_fail(text, std::strlen(text));
  std::abort();
}

}  // namespace

extern "C" {

void* __cxa_allocate_exception(std::size_t size) { return std::malloc(size); }

void __cxa_free_exception(void* thrown) { std::free(thrown); }

[[noreturn]] void __cxa_throw(void* thrown, std::type_info* type, void (*)(void*)) {
  if (*type == typeid(gradus::Error)) leave(static_cast<gradus::Error*>(thrown)->what());
  if (*type == typeid(std::bad_alloc)) leave("the page's memory is out");
  leave(type->name());
}

// What is thread_local here needs no destructor: the page's one thread never ends.
int __cxa_thread_atexit(void (*)(void*), void*, void*) { return 0; }

}  // extern "C"
