// The device that is not there, which the conformance of plugins is tried on, for tests.
#pragma once

#include "conformance/elsewhere.hpp"

namespace hearth::test {

using conformance::complete_elsewhere;
using conformance::elsewhere;
using conformance::MixedDevices;
using conformance::move_elsewhere;

}  // namespace hearth::test
