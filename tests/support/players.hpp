// Two networks that play against each other, of the components of tests/train/parts.cpp.
#pragma once

#include <string>

namespace hearth::test {

/// A maker of vectors from noise (made.out) and a judge of them (fake.out).
inline const std::string players = R"([networks.maker.heads]
make = { use = "test-map", dim = 3 }
[networks.judge.heads]
score = { use = "test-map", dim = 2 }
[[head]]
use = "test-noise"
name = "z"
[[pass]]
network = "maker"
as = "made"
reads = { in = "z.noise" }
[[pass]]
network = "judge"
as = "fake"
reads = { in = "made.out" }
)";

}  // namespace hearth::test
