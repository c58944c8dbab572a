// Gradients by central differences, for tests in double precision: what a plugin's own tests have too.
#pragma once

#include <hearth/testing/gradients.hpp>

namespace hearth::test {

using testing::gradient_error;

}  // namespace hearth::test
