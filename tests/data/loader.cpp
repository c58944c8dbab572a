// The loader: the same batches whatever the threads do.
#include "data/loader.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "data/numbers.hpp"
#include "support/temporary_folder.hpp"

namespace data_loader {

using namespace hearth;
using namespace hearth::data;
using namespace hearth::images;
using namespace hearth::test;
using Catch::Matchers::Contains;

TEST_CASE("a batch holds the delivered tensors and the index of each sample") {
    Loader loader(numbers(8), {.batch = 4, .workers = 2}, add_noise, image_and_noise);
    const auto batches = epoch_of(loader, 0);
    REQUIRE(batches.size() == 2);
    const auto& batch = batches.front();
    CHECK(batch.size() == 3);
    CHECK(batch["image"].sizes().vec() == Indices{4, 1, 4, 4});
    CHECK(batch["noise"].sizes().vec() == Indices{4, 2});
    for (std::int64_t row = 0; row < 4; ++row) {
        const auto index = batch["index"][row].item<std::int64_t>();
        CHECK(batch["image"][row].max().item<double>() ==
              Approx(static_cast<double>(index) / 1000).margin(1.0 / 65535));
    }
}

TEST_CASE("a group of views keeps its axis before the batch axis") {
    const auto add_group = [](Tensors& views, const RandomKey& key) {
        const auto first = static_cast<std::int64_t>(10 * key.sample);
        views.set("group", at::arange(first, first + 6).view({3, 2}));  // [G, n]
    };
    Loader loader(numbers(4), {.batch = 4, .workers = 1, .batch_axis = {{"group", 1}}}, add_group, {"group"});
    const auto batch = epoch_of(loader, 0).front();
    REQUIRE(batch["group"].sizes().vec() == Indices{3, 4, 2});
    for (std::int64_t row = 0; row < 4; ++row) {
        const auto first = 10 * batch["index"][row].item<std::int64_t>();
        CHECK(at::equal(batch["group"].select(1, row), at::arange(first, first + 6).view({3, 2})));
    }
}

TEST_CASE("a view that has another shape for another image is refused with who writes it") {
    const auto uneven = [](Tensors& views, const RandomKey& key) {
        views.set("noise", at::zeros({2, 1 + static_cast<std::int64_t>(key.sample)}));
    };
    const auto message_with = [&](LoaderOptions options) {
        options.batch = 2, options.workers = 1, options.shuffle = false;
        Loader loader(numbers(2), options, uneven, {"noise"});
        loader.begin(0);
        Tensors batch;
        return test::message_of<PluginError>([&] { loader.next(batch); });
    };
    const std::string told =
        "view 'noise': found [2, 1] of image0 and [2, 2] of image1, expected one shape for all images, which a "
        "batch puts together";
    CHECK(message_with({}) == told);
    CHECK(message_with({.written_by = [](const std::string& view) { return "who writes " + view; }}) ==
          "who writes noise: " + told);
}

TEST_CASE("labels come with the samples they belong to") {
    std::vector<int> labels;
    for (int i = 0; i < 8; ++i) labels.push_back(i == 5 ? -1 : 100 + i);
    Loader loader(numbers(8), {.batch = 4, .workers = 2, .labels = labels}, nullptr, {"image", "label"});
    for (const auto& batch : epoch_of(loader, 0)) {
        REQUIRE(batch["label"].scalar_type() == at::kLong);
        for (std::int64_t row = 0; row < 4; ++row) {
            const auto index = batch["index"][row].item<std::int64_t>();
            CHECK(batch["label"][row].item<std::int64_t>() == (index == 5 ? -1 : 100 + index));
        }
    }
}

TEST_CASE("what nobody asked for is not delivered") {
    Loader loader(numbers(4), {.batch = 4, .workers = 1}, add_noise, {"noise"});
    const auto batch = epoch_of(loader, 0).front();
    CHECK(batch.has("noise"));
    CHECK_FALSE(batch.has("image"));
}

TEST_CASE("batches do not depend on the number of workers or on how far they run ahead") {
    const auto expected = epoch_of({.batch = 4, .workers = 1, .prefetch = 1});
    REQUIRE(expected.size() == 5);
    for (const std::int64_t workers : {1, 4})
        for (const std::int64_t prefetch : {1, 2, 16}) {
            INFO(workers << " workers, " << prefetch << " ahead");
            CHECK(same(epoch_of({.batch = 4, .workers = workers, .prefetch = prefetch}), expected));
        }
}

TEST_CASE("an epoch that begins at a batch goes on as the whole epoch would") {
    Loader loader(numbers(23), {.batch = 4, .workers = 3}, add_noise, image_and_noise);
    const auto whole = epoch_of(loader, 2);
    const auto tail = epoch_of(loader, 2, 3);
    REQUIRE(tail.size() == 2);
    CHECK(same(tail, {whole.begin() + 3, whole.end()}));
}

TEST_CASE("an epoch left in the middle does not leak into the next one") {
    Loader loader(numbers(23), {.batch = 4, .workers = 3, .prefetch = 4}, add_noise, image_and_noise);
    const auto expected = epoch_of(loader, 1);
    loader.begin(0);
    Tensors batch;
    REQUIRE(loader.next(batch));
    CHECK(same(epoch_of(loader, 1), expected));
}

TEST_CASE("epochs and seeds order the samples anew, and repeat") {
    const auto of = [](std::uint64_t seed, std::int64_t epoch) {
        return epoch_of({.batch = 4, .workers = 2, .seed = seed}, epoch);
    };
    CHECK(same(of(0, 0), of(0, 0)));
    CHECK(indices(of(0, 0)) != indices(of(0, 1)));
    CHECK(indices(of(0, 0)) != indices(of(1, 0)));
}

TEST_CASE("a sample's views change with the epoch and the seed, not with its place in a batch") {
    const auto noise_of_sample_5 = [](LoaderOptions options, std::int64_t epoch) {
        options.drop_last = false;
        for (const auto& batch : epoch_of(options, epoch))
            for (std::int64_t row = 0; row < batch["index"].numel(); ++row)
                if (batch["index"][row].item<std::int64_t>() == 5) return batch["noise"][row][0].item<double>();
        return -1.0;
    };
    const auto noise = noise_of_sample_5({.batch = 4, .workers = 1}, 0);
    CHECK(noise >= 0);
    CHECK(noise == noise_of_sample_5({.batch = 7, .workers = 2}, 0));
    CHECK(noise == noise_of_sample_5({.batch = 7, .workers = 2, .shuffle = false}, 0));
    CHECK(noise != noise_of_sample_5({.batch = 4, .workers = 1}, 1));
    CHECK(noise != noise_of_sample_5({.batch = 4, .workers = 1, .seed = 1}, 0));
}

TEST_CASE("without shuffling the samples come in the data set's order") {
    CHECK(indices(epoch_of({.batch = 4, .workers = 3, .shuffle = false, .drop_last = false})) ==
          first_integers(23));
}

TEST_CASE("the last, smaller batch is left out or kept as asked") {
    Loader dropping(numbers(10), {.batch = 4, .workers = 2}, nullptr, {"image"});
    CHECK(dropping.batches_per_epoch() == 2);
    CHECK(indices(epoch_of(dropping, 0)).size() == 8);

    Loader keeping(numbers(10), {.batch = 4, .workers = 2, .drop_last = false}, nullptr, {"image"});
    CHECK(keeping.batches_per_epoch() == 3);
    const auto batches = epoch_of(keeping, 0);
    REQUIRE(batches.size() == 3);
    CHECK(batches.back()["image"].size(0) == 2);
    CHECK(sorted(indices(batches)) == first_integers(10));
}

TEST_CASE("fewer images than a batch are an error, unless a smaller batch is kept") {
    CHECK_THROWS_AS(Loader(numbers(3), {.batch = 4, .workers = 1}, nullptr, {"image"}), DataError);
    CHECK_THROWS_WITH(Loader(numbers(3), {.batch = 4, .workers = 1}, nullptr, {"image"}),
                      Contains("found 3 images, expected at least one batch of 4") && Contains("train.batch"));
    Loader keeping(numbers(3), {.batch = 4, .workers = 1, .drop_last = false}, nullptr, {"image"});
    CHECK(epoch_of(keeping, 0).size() == 1);
}

TEST_CASE("narrow images widen to the values that others have, over the channels asked for") {
    for (const std::int64_t channels : {1, 3}) {
        Loader narrow(numbers(6), {.batch = 3, .workers = 1, .channels = channels, .narrow = true}, add_noise,
                      image_and_noise);
        Loader plain(numbers(6), {.batch = 3, .workers = 1, .channels = channels}, add_noise, image_and_noise);
        auto found = epoch_of(narrow, 2);
        for (auto& batch : found) {
            CHECK(batch["image"].scalar_type() == at::kUInt16);
            CHECK(batch["image"].sizes() == at::IntArrayRef({3, 1, 4, 4}));
            batch.set("image", moved(batch["image"], at::kCPU, channels));
            batch.set("noise", moved(batch["noise"], at::kCPU, channels));
        }
        CHECK(same(found, epoch_of(plain, 2)));
    }
}

TEST_CASE("every grey level of 16 bits widens as a film is read") {
    const auto levels = at::arange(65536, at::kInt).to(at::kUInt16).view({1, 256, 256});
    const auto wide = widened(levels, 1);
    const auto* values = wide.const_data_ptr<float>();
    std::int64_t different = 0;
    for (int level = 0; level < 65536; ++level)
        different += values[level] != static_cast<float>(level) * (1.0F / 65535.0F);
    CHECK(different == 0);
}

TEST_CASE("an image that a transform replaces is delivered as it made it") {
    const auto darker = [](Tensors& views, const RandomKey&) { views.set("image", views["image"] / 2); };
    Loader narrow(numbers(4), {.batch = 4, .workers = 1, .narrow = true}, darker, {"image"});
    Loader plain(numbers(4), {.batch = 4, .workers = 1}, darker, {"image"});
    CHECK(same(epoch_of(narrow, 0), epoch_of(plain, 0)));
}

TEST_CASE("a grey image is repeated over the channels asked for") {
    Loader loader(numbers(4), {.batch = 4, .workers = 1, .channels = 3}, nullptr, {"image"});
    const auto image = epoch_of(loader, 0).front()["image"];
    REQUIRE(image.sizes().vec() == Indices{4, 3, 4, 4});
    CHECK(image.max().item<double>() > 0);
    CHECK(at::equal(image.select(1, 0), image.select(1, 1)));
    CHECK(at::equal(image.select(1, 0), image.select(1, 2)));
}

TEST_CASE("the cache saves decoding and changes nothing") {
    const auto cached = numbers(8), read = numbers(8);
    Loader with(cached, {.batch = 4, .workers = 1, .cache = true}, add_noise, image_and_noise);
    Loader without(read, {.batch = 4, .workers = 1, .cache = false}, add_noise, image_and_noise);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch)
        CHECK(same(epoch_of(with, epoch), epoch_of(without, epoch)));
    CHECK(cached->loads == 8);
    CHECK(read->loads == 24);
}

TEST_CASE("what a transform throws reaches the caller with image and epoch, and the loader lives on") {
    std::atomic<bool> broken = true;
    Loader loader(numbers(12), {.batch = 4, .workers = 3, .shuffle = false},
                  [&](Tensors&, const RandomKey& key) {
                      if (broken && key.sample == 5) throw PluginError("augment.x: no such luck");
                  },
                  {"image"});
    loader.begin(0);
    Tensors batch;
    CHECK(loader.next(batch));
    try {
        loader.next(batch);
        FAIL("expected a PluginError");
    } catch (const PluginError& error) {
        CHECK(std::string(error.what()) == "augment.x: no such luck (image image5, epoch 1)");
    }
    CHECK(loader.next(batch));
    CHECK_FALSE(loader.next(batch));
    broken = false;
    CHECK(epoch_of(loader, 0).size() == 3);
}

TEST_CASE("a loader can be left at any time") {
    const auto set = numbers(100);
    { Loader unused(set, {.batch = 4, .workers = 3}, nullptr, {"image"}); }
    CHECK(set->loads == 0);
    {
        Loader begun(set, {.batch = 4, .workers = 3}, nullptr, {"image"});
        begun.begin(0);
    }
    {
        Loader left(set, {.batch = 4, .workers = 3}, nullptr, {"image"});
        left.begin(0);
        Tensors batch;
        CHECK(left.next(batch));
    }
    CHECK(set->loads < 100);
}

TEST_CASE("the workers run ahead of the caller no further than asked") {
    const auto set = numbers(100);
    {
        Loader loader(set, {.batch = 1, .workers = 4, .prefetch = 3}, nullptr, {"image"});
        loader.begin(0);
        Tensors batch;
        loader.next(batch);
        loader.next(batch);
    }
    CHECK(set->loads <= 5);
}

TEST_CASE("all workers work on one batch, image by image") {
    constexpr int together = 4;
    std::mutex mutex;
    std::condition_variable arrived;
    int inside = 0;
    bool met = false;
    const auto wait_for_others = [&](Tensors&, const RandomKey&) {
        std::unique_lock lock(mutex);
        met = met || ++inside == together;
        arrived.notify_all();
        arrived.wait_for(lock, std::chrono::seconds(10), [&] { return met; });
        --inside;
    };
    Loader loader(numbers(4), {.batch = 4, .workers = together, .prefetch = 1}, wait_for_others, {"image"});
    CHECK(epoch_of(loader, 0).size() == 1);
    CHECK(met);
}

TEST_CASE("of several images of a batch that fail the first one is told, whichever failed first") {
    std::promise<void> later_failed;
    const auto fail = [&](Tensors&, const RandomKey& key) {
        if (key.sample == 1) {
            later_failed.get_future().wait_for(std::chrono::seconds(10));
            throw DataError("the first");
        }
        if (key.sample == 3) {
            later_failed.set_value();
            throw DataError("the second");
        }
    };
    Loader loader(numbers(4), {.batch = 4, .workers = 4, .shuffle = false}, fail, {"image"});
    loader.begin(0);
    Tensors batch;
    CHECK_THROWS_WITH(loader.next(batch), Contains("the first"));
}

TEST_CASE("a batch that is ready is had without waiting") {
    std::promise<void> may_go_on;
    const auto go_on = may_go_on.get_future().share();
    const auto wait = [&](Tensors&, const RandomKey&) { go_on.wait_for(std::chrono::seconds(10)); };
    Loader loader(numbers(4), {.batch = 2, .workers = 1, .prefetch = 1}, wait, {"image"});
    loader.begin(0);
    CHECK_FALSE(loader.ready());
    may_go_on.set_value();
    for (int i = 0; i < 1000 && !loader.ready(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(loader.ready());
}

TEST_CASE("a process that gets no row of the last batches gets an empty one") {
    const LoaderOptions options = {
        .batch = 4, .workers = 2, .shuffle = false, .drop_last = false, .rank = 2, .world = 3};
    Loader loader(numbers(5), options, nullptr, {"image"});
    const auto batches = epoch_of(loader, 0);
    REQUIRE(batches.size() == 1);
    CHECK(batches.front()["index"].size(0) == 0);
    CHECK_FALSE(batches.front().has("image"));
}

TEST_CASE("when nothing is left of an epoch, the images that the next one begins with are decoded once") {
    const auto set = numbers(8);
    const LoaderOptions options = {.batch = 2, .workers = 2, .prefetch = 2, .seed = 5, .cache = false};
    Loader loader(set, options, add_noise, image_and_noise);
    loader.begin(0, 0, /*another_follows=*/true);
    const auto first = rest_of(loader);
    for (int i = 0; i < 1000 && set->loads < 8 + 4; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    CHECK(set->loads == 8 + 4);
    loader.begin(1);
    const auto second = rest_of(loader);
    CHECK(set->loads == 8 + 8);
    Loader plain(numbers(8), options, add_noise, image_and_noise);
    CHECK(same(epoch_of(plain, 0), first));
    CHECK(same(epoch_of(plain, 1), second));
}

TEST_CASE("of the next epoch a process decodes its own images alone, each once") {
    const auto set = numbers(24);
    Loader loader(set,
                  {.batch = 2, .workers = 2, .prefetch = 2, .cache = false, .copies = 2, .rank = 1, .world = 3},
                  nullptr, {"image"});
    loader.begin(0, 0, /*another_follows=*/true);
    rest_of(loader);  // 8 batches of 2 copies of an image
    for (int i = 0; i < 1000 && set->loads < 8 + 2; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    loader.begin(1);
    rest_of(loader);
    CHECK(set->loads == 8 + 8);
}

TEST_CASE("stall is the time spent waiting since it was last asked for") {
    Loader loader(numbers(8), {.batch = 4, .workers = 1}, nullptr, {"image"});
    epoch_of(loader, 0);
    CHECK(loader.take_stall() > 0);
    CHECK(loader.take_stall() == 0);
}

TEST_CASE("a worker makes views on one thread, whatever the training step runs on") {
    const auto before = at::get_num_threads();
    at::set_num_threads(4);
    std::atomic<int> most = 0;
    Loader loader(numbers(8), {.batch = 4, .workers = 2},
                  [&](Tensors&, const RandomKey&) { most = std::max(most.load(), at::get_num_threads()); },
                  {"image"});
    loader.begin(0);
    rest_of(loader);
    CHECK(most == 1);
    CHECK(at::get_num_threads() == 4);
    at::set_num_threads(before);
}

TEST_CASE("several labels come as a table, and masks as a view") {
    class Masked : public Numbers {
      public:
        using Numbers::Numbers;
        std::optional<cv::Mat> mask(std::int64_t index, const std::string& column) const override {
            if (column != "outline" || index == 1) return std::nullopt;
            cv::Mat made = cv::Mat::zeros(4, 4, CV_8U);
            made.at<uchar>(2, 3) = 255;
            return made;
        }
    };
    LoaderOptions options;
    options.batch = 2;
    options.shuffle = false;
    options.labels = {1, 0, -1, 0, 1, 1};
    options.label_width = 3;
    options.mask = "outline";
    Loader loader(std::make_shared<Masked>(2), options, nullptr, {"image", "segmentation"});
    loader.begin(0);
    const auto batch = rest_of(loader).at(0);
    CHECK(batch["label"].equal(
        at::tensor({1, 0, -1, 0, 1, 1}, at::kInt).to(batch["label"].scalar_type()).view({2, 3})));
    CHECK(batch["segmentation"].sizes() == at::IntArrayRef({2, 1, 4, 4}));
    CHECK(batch["segmentation"][0].sum().item<double>() == 1);
    CHECK(batch["segmentation"][0][0][2][3].item<double>() == 1);
    CHECK(batch["segmentation"][1].eq(-1).all().item<bool>());
}

TEST_CASE("several samples of an image stand side by side, each with noise of its own") {
    Loader loader(numbers(6), {.batch = 6, .workers = 2, .copies = 3}, add_noise, image_and_noise);
    CHECK(loader.batches_per_epoch() == 3);
    const auto batches = epoch_of(loader, 1);
    const auto drawn = indices(batches);
    for (std::size_t i = 0; i < drawn.size(); i += 3)
        CHECK((drawn[i] == drawn[i + 1] && drawn[i] == drawn[i + 2]));
    auto once = drawn;
    std::sort(once.begin(), once.end());
    once.erase(std::unique(once.begin(), once.end()), once.end());
    CHECK(once == first_integers(6));
    const auto noise = batches[0]["noise"];
    CHECK_FALSE(at::equal(noise[0], noise[1]));
    CHECK_FALSE(at::equal(noise[1], noise[2]));
    CHECK(at::equal(batches[0]["image"][0], batches[0]["image"][2]));
    CHECK_FALSE(same(batches, epoch_of(loader, 2)));
}

TEST_CASE("processes share an epoch: together they get the batches of one, none twice") {
    const auto noisy = [](std::int64_t rank, std::int64_t world, std::int64_t batch) {
        return epoch_of({.batch = batch, .workers = 2, .rank = rank, .world = world}, 3);
    };
    const auto whole = noisy(0, 1, 4), first = noisy(0, 2, 2), second = noisy(1, 2, 2);
    REQUIRE(whole.size() == 5);
    REQUIRE(first.size() == 5);
    REQUIRE(second.size() == 5);
    for (std::size_t i = 0; i < whole.size(); ++i)
        for (const std::string name : {"image", "noise", "index"})
            CHECK(at::equal(at::cat({first[i][name], second[i][name]}), whole[i][name]));
}

}  // namespace data_loader
