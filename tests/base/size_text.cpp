// A size is written in one unit policy, whoever writes it.
#include "base/size_text.hpp"

#include <catch2/catch.hpp>

using hearth::base::size_text;

TEST_CASE("a size is in MiB, and from 1024 of them on in GiB") {
    constexpr double mib = 1024 * 1024;
    CHECK(size_text(0) == "0.0 MiB");
    CHECK(size_text(0.3 * mib) == "0.3 MiB");
    CHECK(size_text(1e6) == "1.0 MiB");
    CHECK(size_text(1023 * mib) == "1023.0 MiB");
    CHECK(size_text(1024 * mib) == "1.00 GiB");
    CHECK(size_text(1e10) == "9.31 GiB");
    CHECK(size_text(3.0 * 1024 * 1024 * mib) == "3072.00 GiB");
}
