// A Comm over the threads of one process, which the conformance of plugins is tried on, for tests.
#pragma once

#include "conformance/thread_comm.hpp"

namespace hearth::test {

using conformance::run_ranks;
using conformance::ThreadComm;

}  // namespace hearth::test
