// Time of one synthetic lesion image, image and key in, three views out; one thread.
//   bench_slm [google-benchmark flags] [RADIOGRAPH ...]
// Without files: noise-textured phantoms of three sizes. With files: each at 224 x 224, and from the file on
// ("read ..."), as a worker of the loader does without a cache.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <functional>

#include "images/image.hpp"
#include "support/plugins.hpp"

namespace {

using namespace hearth;

at::Tensor phantom(std::int64_t edge) {
    const auto y = at::linspace(-1, 1, edge).unsqueeze(1), x = at::linspace(-1, 1, edge).unsqueeze(0);
    const auto lungs = ((x.abs() - 0.4).pow(2) / 0.05 + y.pow(2) / 0.25) < 1;
    const auto body = at::where(lungs, 0.25, 0.7) * (x.abs() < 0.9);
    return (body + 0.05 * at::sin(40 * x) * at::cos(30 * y))
        .clamp(0, 1)
        .to(at::kFloat)
        .unsqueeze(0)
        .contiguous();
}

at::Tensor radiograph(const std::string& file) {
    const cv::Mat image = images::load_grey(file, {.size = 224});
    return at::from_blob(image.data, {1, image.rows, image.cols}).clone();
}

using Source = std::function<at::Tensor()>;

void measure(benchmark::State& state, const Source& image, const std::string& inside) {
    const auto slm = test::make<Augment>("slm", {{"inside", inside}});
    std::uint64_t visit = 0;
    for (auto _ : state) {
        Random random({.epoch = visit++});
        benchmark::DoNotOptimize(slm->sample({{"image", image()}}, random));
    }
}

/// What is left to a worker where lesions are made on the device.
void measure_draw(benchmark::State& state, const at::Tensor& image, const std::string& inside) {
    const auto slm = test::make<DeviceAugment>("slm", {{"inside", inside}});
    std::uint64_t visit = 0;
    for (auto _ : state) {
        Random random({.epoch = visit++});
        benchmark::DoNotOptimize(slm->draw({{"image", image}}, random));
    }
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    at::set_num_threads(1);
    cv::setNumThreads(0);
    const auto add = [](const std::string& name, const Source& image, const std::string& inside) {
        benchmark::RegisterBenchmark(name.c_str(), measure, image, inside)->Unit(benchmark::kMillisecond);
    };
    const auto add_image = [&](const std::string& name, const at::Tensor& image, const std::string& inside) {
        add(
            name, [image] { return image; }, inside);
        benchmark::RegisterBenchmark((name + "/draw").c_str(), measure_draw, image, inside)
            ->Unit(benchmark::kMillisecond);
    };
    for (int i = 1; i < argc; ++i) {
        const std::string file = argv[i];
        add_image(file, radiograph(file), "anywhere");
        add(
            "read " + file, [file] { return radiograph(file); }, "anywhere");
    }
    if (argc == 1)
        for (const std::int64_t edge : {64, 224, 512})
            for (const char* inside : {"anywhere", "lungs"})
                add_image("slm/" + std::to_string(edge) + "/" + inside, phantom(edge), inside);
    benchmark::RunSpecifiedBenchmarks();
}
