#include "host/guard.hpp"

#include <c10/util/Exception.h>
#include <cxxabi.h>

#include <cstdlib>
#include <hearth/error.hpp>
#include <memory>
#include <new>

#include "host/last_words.hpp"
#include "host/memory_error.hpp"
#include "host/place.hpp"

namespace hearth::host {
namespace {

// Trivial, so that it can be read in a signal's handler and after the thread's objects are gone.
constinit thread_local const char* innermost = nullptr;

[[noreturn]] void throw_coded(ExitCode code, const std::string& message) {
    switch (code) {
        case ExitCode::recipe:
            throw RecipeError(message);
        case ExitCode::data:
            throw DataError(message);
        case ExitCode::plugin:
            throw PluginError(message);
        case ExitCode::numeric:
            throw NumericError(message);
        case ExitCode::out_of_memory:
            throw OutOfMemory(message);
        case ExitCode::communication:
            throw CommunicationLost(message);
        default:
            throw Error(code, message);
    }
}

// LibTorch itself finds some of what a component changes in place: views of what others read, and leaves.
std::string remedy(const std::string& text) {
    const bool in_place = text.find("modified inplace") != std::string::npos ||
                          text.find("in-place operation") != std::string::npos;
    return in_place ? "; what a call reads may not be changed in place: change a copy of it (clone())" : "";
}

std::string current_type() {
    const auto* type = abi::__cxa_current_exception_type();
    if (type == nullptr) return "unknown";
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(
        abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
    return status == 0 ? name.get() : type->name();
}

}  // namespace

Inside::Inside(const char* where) noexcept : outer_(innermost) {
    keep_signal_stack();
    innermost = where;
}

Inside::~Inside() {
    innermost = outer_;
}

const char* Inside::now() noexcept {
    return innermost;
}

void rethrow_with(const std::string& where, const std::string& end) {
    const auto placed = with_plugin(where);
    const bool closed = placed.empty() || placed.ends_with(": ");
    const std::string prefix = closed ? placed : placed + ": ";
    try {
        throw;
    } catch (const Error& error) {
        throw_coded(error.code(), prefix + error.what() + end);
    } catch (const c10::OutOfMemoryError& error) {
        throw OutOfMemory(prefix + error.what_without_backtrace() + end);
    } catch (const c10::Error& error) {
        const std::string text = error.what_without_backtrace();  // what() adds pages of C++ frames
        if (tells_of_memory(text)) throw OutOfMemory(prefix + text + end);
        throw PluginError(prefix + text + remedy(text) + end);
    } catch (const std::bad_alloc&) {
        throw OutOfMemory(prefix + "out of memory (std::bad_alloc)" + end);
    } catch (const std::exception& error) {
        throw PluginError(prefix + error.what() + end);
    } catch (...) {
        throw PluginError(prefix + "threw a value of type " + current_type() +
                          "; expected an exception derived from std::exception" + end);
    }
}

}  // namespace hearth::host
