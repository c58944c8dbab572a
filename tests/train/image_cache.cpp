// Where decoded images are kept, and what is free for them.
#include "train/image_cache.hpp"

#include <limits>

#include "train/support.hpp"
#include "train/training_data.hpp"

using namespace hearth;
using namespace hearth::test;
using Catch::Matchers::Contains;

namespace {

recipe::DataSpec spec_of(const std::string& cache) {
    recipe::DataSpec spec;
    spec.source = "phantom";
    spec.phantom_count = 10;
    spec.size = 100;
    spec.cache = cache;
    return spec;
}

/// One machine in a run, where others have no room.
struct CrowdedElsewhere : Comm {
    void all_reduce_sum(at::Tensor& tensor) const override { tensor += 1; }
};

}  // namespace

TEST_CASE("images stay in memory while those of all processes take at most half of what is free") {
    // 1,000 images of 100 x 100 pixels of 2 bytes.
    const auto kind = [](int processes, double free) {
        return train::choose_cache(spec_of("auto"), 1000, 1000, processes, free).kind;
    };
    CHECK(kind(1, 4e7) == "memory");
    CHECK(kind(1, 3.9e7) == "packed");
    CHECK(kind(4, 16e7) == "memory");
    CHECK(kind(4, 15.9e7) == "packed");
    CHECK(recipe::DataSpec().cache == "auto");
}

TEST_CASE("what a recipe says is done, however little is free") {
    for (const auto* written : {"none", "memory", "packed"})
        CHECK(train::choose_cache(spec_of(written), 1000, 1000, 1, 1).kind == written);
}

TEST_CASE("the choice says how much it takes and why") {
    const auto text = [](const std::string& cache, int processes, double free) {
        return train::choose_cache(spec_of(cache), 500'000, 1'000'000, processes, free).text();
    };
    CHECK(text("auto", 1, 25e9) ==
          "images are kept in memory: 9.31 GiB of 23.28 GiB free (data.cache = \"auto\")");
    CHECK(text("memory", 2, 25e9) == "images are kept in memory: 18.63 GiB in 2 processes of 23.28 GiB free");
    CHECK(text("auto", 2, 25e9) ==
          "images are packed into a file of 9.31 GiB: in memory they would take 18.63 GiB in 2 processes, more "
          "than 50 % of what is free, 23.28 GiB here (data.cache = \"auto\")");
    CHECK(text("packed", 1, 25e9) == "images are packed into a file of 9.31 GiB");
    CHECK_THAT(text("none", 1, 25e9), Contains("decoded anew"));
}

TEST_CASE("more memory than is free is warned of where a recipe asks for it") {
    const auto warning = [](const std::string& cache, double free) {
        return train::choose_cache(spec_of(cache), 500'000, 1'000'000, 2, free).warning();
    };
    CHECK_THAT(warning("memory", 10e9), Contains("will take 18.63 GiB in 2 processes, and 9.31 GiB are free") &&
                                            Contains("set data.cache = \"packed\""));
    CHECK(warning("memory", 25e9).empty());
    for (const auto* other : {"auto", "packed", "none"}) CHECK(warning(other, 10e9).empty());
}

TEST_CASE("a control group and those above it limit what is free; pages of files do not count as used") {
    const TemporaryFolder folder;
    const auto& root = folder.path();
    CHECK(train::left_by_groups(root, "/") == std::numeric_limits<double>::infinity());
    folder.write("job/memory.max", "1000\n");
    folder.write("job/memory.current", "700\n");
    folder.write("job/memory.stat", "anon 300\ninactive_file 200\nactive_file 200\n");
    folder.write("job/step/memory.max", "max\n");
    folder.write("job/other/memory.max", "100\n");
    CHECK(train::left_by_groups(root, "/job/step") == 500);
    CHECK(train::left_by_groups(root, "/job/other") == 100);
    CHECK(train::left_by_groups(root, "/elsewhere") == std::numeric_limits<double>::infinity());
    folder.write("memory.max", "400\n");
    CHECK(train::left_by_groups(root, "/job/step") == 400);
    CHECK(train::free_memory() > 0);
}

TEST_CASE("all processes of a run pack where one of them has no room; who does not train keeps nothing") {
    const TemporaryFolder folder;
    const CrowdedElsewhere crowded;
    auto spec = spec_of("auto");
    spec.cache_folder = (folder / "cache").string();
    CHECK(train::open_training_data(spec).cache.kind == "none");
    CHECK(train::open_training_data(spec, &Comm::local()).cache.kind == "memory");
    CHECK_FALSE(fs::exists(folder / "cache"));
    CHECK(train::open_training_data(spec, &crowded).cache.kind == "packed");
    CHECK(fs::exists(folder / "cache"));
    spec.cache = "memory";
    CHECK(train::open_training_data(spec, &crowded).cache.kind == "memory");
}

TEST_CASE("a run says where its images are kept") {
    TrainingRun run(linear_map, {"train.epochs=1"});
    run.run();
    CHECK_THAT(run.folder.read("run/train.log"),
               Contains("images are kept in memory: 0.0 MiB of ") && Contains("(data.cache = \"auto\")"));
}
