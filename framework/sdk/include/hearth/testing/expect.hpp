// Says what holds and what does not. A failure is an exception with a message, which every test framework
// reports; a program without one lists its cases:
//
//   int main() {
//       return run_all({{"nothing to pay at the floor", [] { expect_close(cost(), at::zeros({})); }}});
//   }
#pragma once

#include <ATen/ATen.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hearth::testing {

/// What a test found wrong.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Throws Failure unless it holds; `what` is the statement that was expected.
inline void expect(bool holds, const std::string& what) {
    if (!holds) throw Failure("expected: " + what);
}

/// Throws Failure unless shapes are equal and no value differs by more than `tolerance`. Types may differ: they
/// are compared in double.
inline void expect_close(const at::Tensor& found, const at::Tensor& expected, double tolerance = 1e-5) {
    std::ostringstream message;
    if (found.sizes() != expected.sizes()) {
        message << "found shape " << found.sizes() << ", expected " << expected.sizes();
        throw Failure(message.str());
    }
    if (found.numel() == 0) return;
    const auto difference = (found.detach().to(at::kDouble) - expected.detach().to(at::kDouble)).abs();
    const auto worst = difference.max().item<double>();
    if (worst <= tolerance) return;  // false for not-a-number
    const auto at = difference.flatten().argmax().item<std::int64_t>();
    message << "found " << found.flatten()[at].item<double>() << ", expected "
            << expected.flatten()[at].item<double>() << " at flat index " << at << " (largest difference "
            << worst << ", tolerance " << tolerance << ")";
    throw Failure(message.str());
}

/// Throws Failure unless `body` throws an exception whose message contains `part`.
inline void expect_refusal(const std::function<void()>& body, const std::string& part) {
    std::string found;
    try {
        body();
    } catch (const std::exception& error) {
        found = error.what();
        if (found.find(part) != std::string::npos) return;
        throw Failure("found the message '" + found + "', expected one with '" + part + "'");
    }
    throw Failure("found no exception, expected one with '" + part + "'");
}

/// Runs every case, prints a line for each, and returns how many failed: the exit code of main().
inline int run_all(const std::vector<std::pair<std::string, std::function<void()>>>& cases) {
    int failures = 0;
    for (const auto& [name, body] : cases) {
        std::string problem;
        try {
            body();
        } catch (const std::exception& error) {
            problem = error.what();
        }
        std::printf("%s  %s\n", problem.empty() ? "ok  " : "FAIL", name.c_str());
        if (problem.empty()) continue;
        std::printf("      %s\n", problem.c_str());
        ++failures;
    }
    return failures;
}

}  // namespace hearth::testing
