// Runs functions in processes of their own, so that one that crashes, hangs or ends its process is a result.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace hearth::conformance {

/// How a child ended.
struct Ended {
    std::string answer;   ///< what the function returned
    std::string death;    ///< "" where it returned; else how it ended instead: "died of signal 11 (...)"
    std::string printed;  ///< the last of what it wrote to stdout and stderr
    double seconds = 0;
};

struct Limits {
    std::size_t jobs = 1;  ///< children at once
    double seconds = 60;   ///< for each; one that takes longer is killed, and what it started with it
};

/// Calls each of `bodies` in a child of this process, and `done` here as they end, with its place in `bodies`.
/// An exception of a body is a death. The process must have no other threads: a child has but one of them.
/// Throws Error(internal) where no process can be started.
void run_children(const std::vector<std::function<std::string()>>& bodies, const Limits& limits,
                  const std::function<void(std::size_t, const Ended&)>& done);

}  // namespace hearth::conformance
