// Children: what becomes of a function that runs in a process of its own.
#include "conformance/child.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <thread>

using namespace hearth::conformance;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

Ended ended(const std::function<std::string()>& body, double seconds = 30) {
    Ended out;
    run_children({body}, {1, seconds}, [&](std::size_t, const Ended& found) { out = found; });
    return out;
}

}  // namespace

TEST_CASE("a child returns what its function does, however long") {
    const std::string long_text(300'000, 'x');
    const auto found = ended([&] { return long_text; });
    CHECK(found.answer == long_text);
    CHECK(found.death.empty());
    CHECK(ended([] { return std::string(); }).death.empty());
}

TEST_CASE("a crash, an exit, an exception and a hang are told apart") {
    CHECK_THAT(ended([]() -> std::string { std::raise(SIGSEGV), std::abort(); }).death,
               StartsWith("died of signal 11 ("));
    CHECK_THAT(ended([]() -> std::string { std::abort(); }).death, StartsWith("died of signal 6 ("));
    CHECK(ended([]() -> std::string { _exit(0); }).death == "ended its process with code 0 before it returned");
    CHECK(ended([]() -> std::string { throw std::runtime_error("too bad"); }).death == "too bad");
    CHECK_THAT(ended([]() -> std::string { throw 42; }).death, Contains("no std::exception"));
    const auto late = ended(
        [] {
            std::this_thread::sleep_for(std::chrono::hours(1));
            return std::string();
        },
        0.2);
    CHECK(late.death == "did not end within 0.2 s, and was killed");
    CHECK(late.answer.empty());
}

TEST_CASE("what a child prints is kept out of the way, and its end can be read") {
    const auto found = ended([] {
        for (int i = 0; i < 1000; ++i) std::printf("line %d\n", i);
        std::fputs("the last words", stderr);
        std::fflush(stdout);
        return std::string("done");
    });
    CHECK(found.answer == "done");
    CHECK(found.printed.size() <= 400);
    CHECK_THAT(found.printed, Contains("line 999"));
}

TEST_CASE("several children run at once, and each answers for itself") {
    std::vector<std::function<std::string()>> bodies;
    for (int i = 0; i < 20; ++i)
        bodies.emplace_back([i]() -> std::string {
            if (i % 5 == 4) std::abort();
            return std::to_string(i);
        });
    std::map<std::size_t, std::string> answers;
    run_children(bodies, {4, 30},
                 [&](std::size_t place, const Ended& found) { answers[place] = found.answer; });
    REQUIRE(answers.size() == 20);
    CHECK(answers[3] == "3");
    CHECK(answers[4].empty());
    CHECK(answers[18] == "18");
}
