// What a plugin throws comes back with component, plugin, version, file and the place in the recipe.
#include "host/memory_error.hpp"
#include "host/place.hpp"
#include "host/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

std::string fault(const std::string& kind, ExitCode code) {
    host::Registry registry;
    registry.load(good(), "test");
    const auto& type = registry.find(Kind::head, "scale");
    Options options(type.schema());
    options.set("fault", kind);
    return refusal([&] { host::guarded("r.toml:7:1: ", [&] { return type.create(options, {}); }); }, code);
}

}  // namespace

TEST_CASE("a factory that throws is reported with component, plugin, version, file and recipe location") {
    CHECK(fault("standard", ExitCode::plugin) == "r.toml:7:1: head 'scale' of plugin scale 1.2.3 (" +
                                                     good().string() + "): create: the factory is on fire");
}

TEST_CASE("an error of LibTorch is reported without its backtrace") {
    const auto message = fault("torch", ExitCode::plugin);
    CHECK_THAT(message, Contains("create: the tensor is on fire"));
    CHECK_THAT(message, !Contains("frame #"));
}

TEST_CASE("a thrown value of another type is named") {
    CHECK_THAT(fault("number", ExitCode::plugin), Contains("threw a value of type int"));
}

TEST_CASE("running out of memory keeps its own exit code") {
    CHECK_THAT(fault("memory", ExitCode::out_of_memory), Contains("head 'scale'") && Contains("out of memory"));
}

TEST_CASE("a Hearth error from a plugin keeps its type and exit code") {
    CHECK_THAT(fault("recipe", ExitCode::recipe), Contains("factor and fault do not go together"));
    CHECK_THROWS_AS(host::guarded("here", []() -> int { throw RecipeError("x"); }), RecipeError);
    CHECK_THROWS_AS(host::guarded("here", []() -> int { throw NumericError("x"); }), NumericError);
}

TEST_CASE("a factory that returns nothing is refused") {
    CHECK_THAT(fault("null", ExitCode::plugin),
               Contains("create: returned a null pointer, expected a component"));
}

TEST_CASE("ports that throw are reported like factories that throw") {
    host::Registry registry;
    registry.load(good(), "test");
    const auto& type = registry.find(Kind::head, "scale");
    Options options(type.schema());
    options.set("fault", std::string("standard"));
    CHECK_THAT(refusal([&] { type.reads(options); }),
               Contains("head 'scale'") && Contains("reads: no ports today"));
}

TEST_CASE("a factory that returns another kind's class is refused") {
    host::Registry registry;
    registry.load(folder("misbehaving") / "libhearth_loss_misbehave.so", "test");
    const auto& type = registry.find(Kind::head, "impostor");
    CHECK_THAT(
        refusal([&] { type.create(Options(type.schema()), {}); }),
        Contains("head 'impostor' of plugin misbehave 0.1.0") &&
            Contains("create: returned a (anonymous namespace)::Misbehave, expected a class derived from "
                     "hearth::Head"));
}

TEST_CASE("the place of a component names its plugin in what is thrown there, and goes with the component") {
    host::Registry registry;
    registry.load(good(), "test");
    const auto& type = registry.find(Kind::head, "scale");
    auto component = type.create(Options(type.schema()), {});
    CHECK(host::place_of(*component, "student.scale") == "student.scale");
    host::remember_place("r.toml:7:1", "student.scale", component.get(), type.library());
    const auto place = host::place_of(*component, "");
    CHECK(place == "r.toml:7:1: student.scale");
    const auto thrown = [](const std::string& where) {
        return refusal([&] { host::guarded(where, []() -> int { throw PluginError("no"); }); });
    };
    const auto plugin = " (plugin scale 1.2.3, " + good().string() + ")";
    CHECK(thrown(place) == place + plugin + ": no");
    CHECK(thrown(place + ": after_step") == place + plugin + ": after_step: no");
    CHECK(thrown(place + "r") == place + "r: no");  // another component, whose name begins alike
    CHECK(host::find_place(place.c_str())->component == "student.scale");
    host::forget_place(component.get());
    CHECK(host::place_of(*component, "gone") == "gone");
}

TEST_CASE("a thread knows the innermost guard it is in") {
    CHECK(host::Inside::now() == nullptr);
    host::guarded("outer", [] {
        host::guarded("inner", [] { CHECK(host::Inside::now() == std::string("inner")); });
        CHECK(host::Inside::now() == std::string("outer"));
    });
    CHECK_THROWS_AS(host::guarded("thrower", []() -> int { throw PluginError("no"); }), PluginError);
    CHECK(host::Inside::now() == nullptr);
}

TEST_CASE("an end may come behind the message, as well as a place in front") {
    CHECK(refusal([] {
              try {
                  throw PluginError("no");
              } catch (...) {
                  host::rethrow_with("", " (image 3)");
              }
          }) == "no (image 3)");
}

TEST_CASE("a guard hands on what the call returns") {
    CHECK(host::guarded("here", [] { return 7; }) == 7);
    int value = 0;
    int& same = host::guarded("here", [&]() -> int& { return value; });
    CHECK(&same == &value);
}

TEST_CASE("memory that is not there is told by many texts, and is no fault of a plugin") {
    for (const auto* text :
         {"CUDA out of memory. Tried to allocate 2.00 GiB", "CUDA error: out of memory",
          "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
          "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
          "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"}) {
        INFO(text);
        CHECK_THROWS_AS(host::guarded("loss.a: ",
                                      [&] {
                                          throw c10::Error({__func__, __FILE__, __LINE__}, text);
                                      }),
                        OutOfMemory);
        CHECK(host::is_out_of_memory(c10::Error({__func__, __FILE__, __LINE__}, text)));
    }
    CHECK(host::is_out_of_memory(std::bad_alloc()));
    CHECK(host::is_out_of_memory(OutOfMemory("no more")));
    CHECK_FALSE(host::is_out_of_memory(std::runtime_error("out of memory")));
    CHECK_FALSE(
        host::is_out_of_memory(c10::Error({__func__, __FILE__, __LINE__}, "CUDA error: misaligned address")));
}
