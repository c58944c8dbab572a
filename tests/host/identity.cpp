#include "host/identity.hpp"

#include "base/sha256.hpp"
#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;

TEST_CASE("identities are compared field by field") {
    const std::string ours = ".hearth.api1.torch2_11_0.gcc12.cxx11abi1";
    CHECK(host::compare_identities(ours, ours) == "");
    CHECK(host::compare_identities(".hearth.api1.torch2_10_0.clang14.cxx11abi1", ours) ==
          "  LibTorch: found 2.10.0, expected 2.11.0\n  compiler: found clang14, expected gcc12\n");
}

TEST_CASE("an identity of an unknown form is shown as it is") {
    const std::string ours = ".hearth.api1.torch2_11_0.gcc12.cxx11abi1";
    for (const std::string found : {".hearth.x", ".hearth.api1.torch2_11_0.gcc12.cxx11abi1.more", ".text"})
        CHECK(host::compare_identities(found, ours) ==
              "  build identity: found '" + found + "', expected '" + ours + "'\n");
}

TEST_CASE("the identity of a plugin of this build is that of the host") {
    const std::vector<std::string> expected = {host::host_identity()};
    CHECK(host::read_identities(good()) == expected);
    CHECK(host::read_identities(library("no_identity")).empty());
}

TEST_CASE("SHA-256 agrees with FIPS 180-2") {
    const TemporaryFolder scratch;
    scratch.write("abc", "abc");
    CHECK(base::sha256(scratch / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    scratch.write("a", std::string(1'000'000, 'a'));
    CHECK(base::sha256(scratch / "a") == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    CHECK_THROWS_AS(base::sha256(scratch / "absent"), PluginError);
}
