// A data set of images that are numbers, and what a loader makes of it.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <numeric>

#include "data/loader.hpp"
#include "images/image.hpp"

namespace hearth::test {

using namespace hearth::data;
using namespace hearth::images;

using Indices = std::vector<std::int64_t>;

/// Image i is i / 1000 everywhere; those in `bad` cannot be read.
class Numbers : public Dataset {
  public:
    explicit Numbers(std::int64_t count, std::set<std::int64_t> bad = {})
        : count_(count), bad_(std::move(bad)) {}
    std::int64_t size() const override { return count_; }
    cv::Mat load(std::int64_t index) const override {
        ++loads;
        if (bad_.count(index) != 0)
            throw ImageError(ImageFault::empty, name(index), "empty (0 bytes); copy it again");
        return cv::Mat(4, 4, CV_32F, cv::Scalar(static_cast<double>(index) / 1000));
    }
    std::string name(std::int64_t index) const override { return "image" + std::to_string(index); }
    std::optional<std::string> cell(std::int64_t, const std::string&) const override { return std::nullopt; }

    mutable std::atomic<int> loads{0};

  private:
    std::int64_t count_;
    std::set<std::int64_t> bad_;
};

inline std::shared_ptr<Numbers> numbers(std::int64_t count, std::set<std::int64_t> bad = {}) {
    return std::make_shared<Numbers>(count, std::move(bad));
}

/// A view that depends on the sample's key.
inline void add_noise(Tensors& views, const RandomKey& key) {
    Random random(key);
    views.set("noise", at::full({2}, random.uniform()));
}
inline const std::set<std::string> image_and_noise = {"image", "noise"};

inline std::vector<Tensors> rest_of(Loader& loader) {
    std::vector<Tensors> out;
    for (Tensors batch; loader.next(batch);) out.push_back(batch);
    return out;
}

inline std::vector<Tensors> epoch_of(Loader& loader, std::int64_t epoch, std::int64_t first = 0) {
    loader.begin(epoch, first);
    return rest_of(loader);
}

inline std::vector<Tensors> epoch_of(const LoaderOptions& options, std::int64_t epoch = 0) {
    Loader loader(numbers(23), options, add_noise, image_and_noise);
    return epoch_of(loader, epoch);
}

inline bool same(const Tensors& a, const Tensors& b) {
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
               return b.has(entry.first) && at::equal(entry.second, b[entry.first]);
           });
}

inline bool same(const std::vector<Tensors>& a, const std::vector<Tensors>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Tensors& x, const Tensors& y) { return same(x, y); });
}

/// The samples of all batches, in order.
inline Indices indices(const std::vector<Tensors>& batches) {
    Indices out;
    for (const auto& batch : batches) {
        const auto& index = batch["index"];
        out.insert(out.end(), index.data_ptr<std::int64_t>(), index.data_ptr<std::int64_t>() + index.numel());
    }
    return out;
}

inline Indices sorted(Indices list) {
    std::sort(list.begin(), list.end());
    return list;
}

inline Indices first_integers(std::int64_t count) {
    Indices out(static_cast<std::size_t>(count));
    std::iota(out.begin(), out.end(), std::int64_t{0});
    return out;
}

}  // namespace hearth::test
