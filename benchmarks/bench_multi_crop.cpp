// Images per second through multi-crop at DINO's defaults (2 x 224 + 8 x 96), image and key in, crops out.
//   bench_multi_crop [google-benchmark flags] [RADIOGRAPH ...]
// Without files: phantoms of 256 and 512 pixels, and parts of the work. With files: those images as they are,
// in turn, on one and three channels. Each on one and on two threads, which share nothing but the component.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <opencv2/imgcodecs.hpp>

#include "support/plugins.hpp"

namespace {

using namespace hearth;
using Changes = std::vector<std::pair<std::string, OptionValue>>;

at::Tensor phantom(std::int64_t edge) {
    const auto y = at::linspace(-1, 1, edge).unsqueeze(1), x = at::linspace(-1, 1, edge).unsqueeze(0);
    const auto lungs = ((x.abs() - 0.4).pow(2) / 0.05 + y.pow(2) / 0.25) < 1;
    const auto body = at::where(lungs, 0.25, 0.7) * (x.abs() < 0.9);
    return (body + 0.05 * at::sin(40 * x) * at::cos(30 * y)).clamp(0, 1).to(at::kFloat).unsqueeze(0);
}

at::Tensor radiograph(const std::string& file) {
    cv::Mat grey = cv::imread(file, cv::IMREAD_GRAYSCALE), scaled;
    if (grey.empty()) throw DataError(file + ": cannot be read as an image");
    grey.convertTo(scaled, CV_32F, 1 / 255.0);
    return at::from_blob(scaled.data, {1, scaled.rows, scaled.cols}).clone();
}

void measure(benchmark::State& state, const std::vector<at::Tensor>& images,
             const std::shared_ptr<Augment>& crop) {
    std::uint64_t visit = static_cast<std::uint64_t>(state.thread_index()) << 24;
    for (auto _ : state) {
        Random random({.sample = visit});
        benchmark::DoNotOptimize(crop->sample({{"image", images[visit++ % images.size()]}}, random));
    }
    state.SetItemsProcessed(state.iterations());
}

/// What is left to a worker where crops are made on the device.
void measure_draw(benchmark::State& state, const std::vector<at::Tensor>& images,
                  const std::shared_ptr<DeviceAugment>& crop) {
    std::uint64_t visit = 0;
    for (auto _ : state) {
        Random random({.sample = visit});
        benchmark::DoNotOptimize(crop->draw({{"image", images[visit++ % images.size()]}}, random));
    }
    state.SetItemsProcessed(state.iterations());
}

void add(const std::string& name, const std::vector<at::Tensor>& images, const Changes& changes = {}) {
    const auto crop = test::make<DeviceAugment>("multi-crop", changes);
    for (const int threads : {1, 2})
        benchmark::RegisterBenchmark(("multi-crop/" + name).c_str(), measure, images, crop)
            ->Unit(benchmark::kMillisecond)
            ->Threads(threads)
            ->UseRealTime();
    benchmark::RegisterBenchmark(("multi-crop/" + name + "/draw").c_str(), measure_draw, images, crop)
        ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    at::set_num_threads(1);
    if (argc > 1) {
        std::vector<at::Tensor> grey, rgb;
        for (int i = 1; i < argc; ++i) {
            grey.push_back(radiograph(argv[i]));
            rgb.push_back(grey.back().expand({3, -1, -1}).contiguous());
        }
        add("1", grey);
        add("3", rgb);
    } else {
        const std::vector<double> never{0};
        for (const std::int64_t edge : {256, 512}) {
            const auto size = std::to_string(edge);
            add(size, {phantom(edge)});
            add(size + "/large", {phantom(edge)}, {{"local_crops", std::int64_t{0}}});
            add(size + "/no_blur", {phantom(edge)}, {{"blur", never}, {"local_blur", Schedule(0)}});
        }
    }
    benchmark::RunSpecifiedBenchmarks();
}
