// The device without values that components are tried on.
#include "conformance/elsewhere.hpp"

#include <catch2/catch.hpp>

using namespace hearth::conformance;

TEST_CASE("elsewhere, asking for a value fails and a tensor left behind is noticed") {
    complete_elsewhere();
    const auto there = at::ones({3}, elsewhere), here = at::ones({3});
    CHECK_THROWS(there.sum().item<double>());
    CHECK_THROWS(there.masked_select(there > 0));
    CHECK_THROWS(there.nonzero());
    const MixedDevices mixed;
    there.mul(2.0).add(at::scalar_tensor(1)).copy_(here);
    CHECK(mixed.found().empty());
    CHECK_THROWS(at::mul(there, here));
    CHECK(mixed.found() == std::set<std::string>{"aten::mul"});
}
