// Batches on their way to a device that is not there.
#include "train/device_batches.hpp"

#include <chrono>
#include <thread>

#include "data/numbers.hpp"
#include "device/fake_cuda.hpp"
#include "plan/support.hpp"
#include "train/check.hpp"
#include "train/host_copy.hpp"
#include "train/stepper.hpp"

namespace device_batches {

using namespace hearth;
using namespace hearth::test;
using Order = std::vector<std::string>;

TEST_CASE("a batch is copied beside the work on the one before, and the host waits for neither") {
    fake_cuda::install();
    data::Loader loader(numbers(6), {.batch = 2, .workers = 1, .pinned = true}, nullptr, {"image"});
    train::DeviceBatches batches(loader, fake_cuda::device);
    batches.begin(0, 0, /*another_follows=*/false);
    const fake_cuda::Counting counting;
    Tensors batch;
    REQUIRE(batches.next(batch));
    CHECK(batch["image"].device() == fake_cuda::device);
    CHECK(counting.now().order == Order{"copy on 1", "copy on 1", "record on 1", "0 waits for it"});
    for (int i = 0; i < 1000 && !loader.ready(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    REQUIRE(loader.ready());
    {
        const fake_cuda::Counting ahead;
        batches.look_ahead();
        batches.look_ahead();  // one batch and no more
        CHECK(ahead.now().order == Order{"copy on 1", "copy on 1", "record on 1"});
    }
    const fake_cuda::Counting taken;
    REQUIRE(batches.next(batch));
    CHECK(taken.now().order == Order{"0 waits for it"});
    CHECK(taken.now().waits_up == 0);
    REQUIRE(batches.next(batch));
    CHECK_FALSE(batches.next(batch));
}

TEST_CASE("a film goes up as one channel of 16 bits, and is widened there") {
    fake_cuda::install();
    const data::LoaderOptions options{.batch = 2, .workers = 1, .channels = 3, .pinned = true, .narrow = true};
    data::Loader loader(numbers(2), options, nullptr, {"image"});
    train::DeviceBatches batches(loader, fake_cuda::device);
    batches.begin(0, 0, /*another_follows=*/false);
    const fake_cuda::Counting counting;
    Tensors batch;
    REQUIRE(batches.next(batch));
    CHECK(batch["image"].scalar_type() == at::kFloat);
    CHECK(batch["image"].sizes() == at::IntArrayRef({2, 3, 4, 4}));
    CHECK(batch["image"].device() == fake_cuda::device);
    CHECK(counting.now().bytes_up == 2 * 4 * 4 * sizeof(std::uint16_t) + 2 * sizeof(std::int64_t));
    CHECK(counting.now().waits_up == 0);
    CHECK(counting.now().kernels == 2);
}

TEST_CASE("on the CPU batches are handed on as they are") {
    data::Loader loader(numbers(4), {.batch = 2, .workers = 1}, add_noise, image_and_noise);
    train::DeviceBatches batches(loader, c10::kCPU);
    batches.begin(3, 0, /*another_follows=*/true);
    std::vector<Tensors> found;
    for (Tensors batch; batches.next(batch);) {
        found.push_back(batch);
        batches.look_ahead();
    }
    data::Loader plain(numbers(4), {.batch = 2, .workers = 1}, add_noise, image_and_noise);
    CHECK(same(found, epoch_of(plain, 3)));
}

TEST_CASE("a checkpoint's tensors come to the host with one wait for all of them") {
    fake_cuda::install();
    train::NamedTensors tensors = {{"here", at::ones({3})}};
    for (int i = 0; i < 20; ++i) tensors.emplace_back("there", at::ones({4, 2}, fake_cuda::device).t());
    const fake_cuda::Counting counting;
    const auto copies = train::on_host(tensors);
    CHECK(counting.now().questions == 0);
    CHECK(counting.now().bytes_down == 20 * 32);
    CHECK(counting.now().order == Order{"the host waits for 0"});
    REQUIRE(copies.size() == 21);
    CHECK(copies.front().second.is_same(tensors.front().second));
    CHECK(copies.back().second.is_cpu());
    CHECK(copies.back().second.is_pinned());
    CHECK(copies.back().second.is_contiguous());
    CHECK(copies.back().second.sizes() == at::IntArrayRef({2, 4}));
}

TEST_CASE("the host turns to other work before it asks the device") {
    fake_cuda::install();
    auto recipe = recipe::load(HEARTH_TEST_SOURCE_DIR "/recipes/demo/afire.toml");
    recipe.train.batch = 2;
    auto plan = plan::Plan::build(recipe, registry());
    plan.to(fake_cuda::device);
    plan.train(true);
    train::Stepper stepper(recipe, plan, fake_cuda::device);
    const auto loader = train::generated_batches(recipe, plan, 2);
    Context context;
    context.device = fake_cuda::device;
    context.progress = {.step = 1000, .total_steps = 10000, .steps_per_epoch = 1};
    const fake_cuda::Counting counting;
    std::vector<std::int64_t> asked, launched;
    stepper.meanwhile([&] {
        asked.push_back(counting.now().questions);
        launched.push_back(counting.now().kernels);
    });
    CHECK(stepper.step(context, train::endless(*loader)).updated);
    CHECK(asked == std::vector<std::int64_t>{0});
    REQUIRE(launched.size() == 1);
    CHECK(launched.front() > 100);  // forward and backward pass are on their way
    CHECK(counting.now().questions > 0);
}

TEST_CASE("a step that is read late asks nothing: its event is waited for when the next one is on its way") {
    fake_cuda::install();
    auto recipe = recipe::load(HEARTH_TEST_SOURCE_DIR "/recipes/demo/afire.toml");
    recipe.train.batch = 2;
    auto plan = plan::Plan::build(recipe, registry());
    plan.to(fake_cuda::device);
    plan.train(true);
    train::Stepper stepper(recipe, plan, fake_cuda::device);
    CHECK_FALSE(stepper.reads_late());
    stepper.read_late(true);
    REQUIRE(stepper.reads_late());
    const auto loader = train::generated_batches(recipe, plan, 2);
    const auto source = train::endless(*loader);
    Context context;
    context.device = fake_cuda::device;
    context.progress = {.step = 1000, .total_steps = 10000, .steps_per_epoch = 1};
    std::optional<train::LateStep> before;
    const fake_cuda::Counting counting;
    std::vector<std::int64_t> launched;
    stepper.meanwhile([&] {
        launched.push_back(counting.now().kernels);
        if (before) before->outcome();
    });
    for (int step = 0; step < 2; ++step) {
        bool watched = false;
        auto result = stepper.step(context, source, [&](const auto&, std::int64_t, bool) { watched = true; });
        CHECK(result.updated);
        CHECK_FALSE(watched);
        REQUIRE(result.late);
        CHECK(result.late->images() == 2);
        before.emplace(std::move(*result.late));
    }
    CHECK(counting.now().questions == 0);
    Order events;
    for (const auto& line : counting.now().order)
        if (!line.starts_with("copy on")) events.push_back(line);
    CHECK(events == Order{"record on 0", "the host waits for an event", "record on 0"});
    REQUIRE(launched.size() == 2);
    CHECK(launched[1] > launched[0] + 100);
}

}  // namespace device_batches
