#include "data/loader.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <numeric>
#include <opencv2/core/utility.hpp>
#include <optional>
#include <utility>

#include "host/guard.hpp"

namespace hearth::data {
namespace {

// 16 bits hold any 8- or 16-bit film exactly; every image passes through them, cached or not, so that an epoch
// does not depend on whether an image was met before.
cv::Mat to_16_bit(const cv::Mat& image) {
    cv::Mat out;
    image.convertTo(out, CV_16U, 65535.0);
    return out;
}

constexpr float of_16_bit = 1.0f / 65535.0f;

at::Tensor to_tensor(const cv::Mat& grey16, std::int64_t channels) {
    const std::int64_t h = grey16.rows, w = grey16.cols;
    auto tensor = at::empty({channels, h, w}, at::kFloat);
    auto* out = tensor.data_ptr<float>();
    for (std::int64_t y = 0; y < h; ++y) {
        const auto* row = grey16.ptr<std::uint16_t>(static_cast<int>(y));
        for (std::int64_t x = 0; x < w; ++x) out[y * w + x] = static_cast<float>(row[x]) * of_16_bit;
    }
    for (std::int64_t c = 1; c < channels; ++c) std::copy_n(out, h * w, out + c * h * w);
    return tensor;
}

// [1, S, S] of uint16, which shares its memory with nothing.
at::Tensor narrow_tensor(const cv::Mat& grey16) {
    auto tensor = at::empty({1, grey16.rows, grey16.cols}, at::kUInt16);
    grey16.copyTo(cv::Mat(grey16.rows, grey16.cols, CV_16U, tensor.mutable_data_ptr()));
    return tensor;
}

// [1, S, S], -1 everywhere when there is no mask.
at::Tensor segmentation_of(const std::optional<cv::Mat>& mask, const cv::Mat& image) {
    return mask ? mask_tensor(*mask) : at::full({1, image.rows, image.cols}, -1, at::kFloat);
}

}  // namespace

at::Tensor widened(const at::Tensor& tensor, std::int64_t channels) {
    if (tensor.scalar_type() != at::kUInt16) return tensor;
    auto sizes = tensor.sizes().vec();
    sizes.end()[-3] = channels;
    return tensor.to(at::kFloat).expand(sizes) * static_cast<double>(of_16_bit);
}

at::Tensor moved(const at::Tensor& tensor, c10::Device device, std::int64_t channels) {
    return widened(tensor.to(device, /*non_blocking=*/true), channels);
}

// A worker is one thread. With pools of their own OpenMP counts more threads than cores, and then those of the
// training step sleep after every operation instead of waiting for the next (docs/benchmarks.md, "Threads").
void stay_one_thread() {
#ifdef _OPENMP
    at::get_num_threads();  // ATen sets a thread's count at its first question
    omp_set_num_threads(1);
#endif
}

at::Tensor mask_tensor(const cv::Mat& mask) {
    auto tensor = at::empty({1, mask.rows, mask.cols}, at::kFloat);
    cv::Mat target(mask.rows, mask.cols, CV_32F, tensor.mutable_data_ptr<float>());
    mask.convertTo(target, CV_32F, 1.0 / 255);
    return tensor;
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options, Transform transform,
               std::set<std::string> delivered)
    : dataset_(std::move(dataset)),
      options_(options),
      transform_(std::move(transform)),
      delivered_(std::move(delivered)),
      cache_(options.cache ? static_cast<std::size_t>(dataset_->size()) : 0) {
    if (options_.drop_last && batches_per_epoch() < 1)
        throw DataError(fmt::format(
            "found {} images{}, expected at least one batch of {}{}; lower train.batch or widen data.where",
            dataset_->size(), options_.copies > 1 ? fmt::format(" x {}", options_.copies) : "", options_.batch,
            options_.world > 1 ? fmt::format(" for each of {} processes", options_.world) : ""));
    cv::setNumThreads(0);  // the workers are the parallelism
    const auto cores = static_cast<std::int64_t>(std::max(1u, std::thread::hardware_concurrency()));
    const auto count = options_.workers > 0 ? options_.workers : cores;
    for (std::int64_t i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
}

Loader::~Loader() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_workers_.notify_all();
    for (auto& thread : threads_) thread.join();
}

std::int64_t Loader::batches_per_epoch() const {
    const auto n = dataset_->size() * options_.copies, together = options_.batch * options_.world;
    return options_.drop_last ? n / together : (n + together - 1) / together;
}

std::vector<std::int64_t> Loader::order_of(std::int64_t epoch) const {
    std::vector<std::int64_t> order(static_cast<std::size_t>(dataset_->size()));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    if (!options_.shuffle) return order;
    Random random(
        {.seed = options_.seed, .epoch = static_cast<std::uint64_t>(epoch), .sample = 0, .stream = 0});
    for (auto i = static_cast<std::int64_t>(order.size()) - 1; i > 0; --i)
        std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(random.integer(0, i))]);
    return order;
}

std::pair<std::int64_t, std::int64_t> Loader::rows_of(std::int64_t number) const {
    const auto first = (number * options_.world + options_.rank) * options_.batch;
    return {first, std::max(first, std::min(first + options_.batch, dataset_->size() * options_.copies))};
}

void Loader::begin(std::int64_t epoch, std::int64_t first_batch, bool another_follows) {
    auto order = std::make_shared<const std::vector<std::int64_t>>(order_of(epoch));
    std::vector<std::int64_t> to_decode;
    if (another_follows) {
        const auto following = order_of(epoch + 1);
        const auto batches = std::min(options_.prefetch, batches_per_epoch());
        for (std::int64_t number = 0; number < batches; ++number) {
            const auto [first, last] = rows_of(number);
            for (auto row = first; row < last; row += options_.copies - row % options_.copies)
                to_decode.push_back(following[static_cast<std::size_t>(row / options_.copies)]);
        }
        std::ranges::reverse(to_decode);
    }
    {
        const std::lock_guard lock(mutex_);
        if (epoch != epoch_ + 1) {
            const std::lock_guard images(cache_mutex_);
            ahead_.clear();
        }
        ++generation_;
        order_ = std::move(order);
        epoch_ = epoch;
        next_job_ = next_out_ = first_batch;
        filling_ = nullptr;
        done_.clear();
        to_decode_ = std::move(to_decode);
    }
    wake_workers_.notify_all();
}

bool Loader::ready() const {
    const std::lock_guard lock(mutex_);
    const auto found = done_.find(next_out_);
    return found != done_.end() && !found->second.error;
}

bool Loader::next(Tensors& batch) {
    std::unique_lock lock(mutex_);
    if (next_out_ >= batches_per_epoch()) return false;
    const auto start = std::chrono::steady_clock::now();
    wake_consumer_.wait(lock, [&] { return done_.count(next_out_) != 0; });
    stall_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    auto node = done_.extract(next_out_++);
    lock.unlock();
    wake_workers_.notify_all();
    if (node.mapped().error) std::rethrow_exception(node.mapped().error);
    batch = std::move(node.mapped().batch);
    return true;
}

bool Loader::has_job() const {
    return filling_ ||
           (epoch_ >= 0 && next_job_ < batches_per_epoch() && next_job_ < next_out_ + options_.prefetch);
}

Loader::Job Loader::take_job() {
    if (!filling_) {
        const auto number = next_job_++;
        const auto [first, last] = rows_of(number);
        filling_ = std::make_shared<Assembly>(Assembly{.epoch = epoch_,
                                                       .number = number,
                                                       .generation = generation_,
                                                       .order = order_,
                                                       .first = first,
                                                       .last = last,
                                                       .next = first,
                                                       .left = last - first});
        filling_->rows.resize(static_cast<std::size_t>(last - first));
        filling_->indices.resize(static_cast<std::size_t>(last - first));
    }
    Job job{.batch = filling_, .first = filling_->next};
    const auto end_of_image = (job.first / options_.copies + 1) * options_.copies;
    job.last = filling_->next = std::min(end_of_image, filling_->last);
    if (job.last == filling_->last) filling_ = nullptr;
    return job;
}

std::int64_t Loader::take_image_ahead() {
    if (to_decode_.empty() || epoch_ < 0 || next_job_ < batches_per_epoch()) return -1;
    const auto index = to_decode_.back();
    to_decode_.pop_back();
    return index;
}

void Loader::work() {
    stay_one_thread();
    std::unique_lock lock(mutex_);
    for (;;) {
        std::int64_t ahead = -1;
        wake_workers_.wait(lock, [&] { return stop_ || has_job() || (ahead = take_image_ahead()) >= 0; });
        if (stop_) return;
        if (ahead >= 0) {
            lock.unlock();
            decode_ahead(ahead);
            lock.lock();
            continue;
        }
        const auto job = take_job();
        auto& batch = *job.batch;
        lock.unlock();
        std::exception_ptr error;
        try {
            make_rows(job);
        } catch (...) {
            error = std::current_exception();
        }
        lock.lock();
        if (error && (batch.failed_row < 0 || job.first < batch.failed_row)) {
            batch.failed_row = job.first;
            batch.error = error;
        }
        batch.left -= job.last - job.first;
        if (batch.left > 0 || batch.generation != generation_) continue;
        lock.unlock();
        Result result{.batch = {}, .error = batch.error};
        try {
            if (!result.error) result.batch = assembled(batch);
        } catch (...) {
            result.error = std::current_exception();
        }
        lock.lock();
        if (batch.generation != generation_) continue;
        done_.emplace(batch.number, std::move(result));
        wake_consumer_.notify_one();
    }
}

cv::Mat Loader::decoded(std::int64_t index) {
    auto image = to_16_bit(dataset_->load(index));
    if (const auto why = images::flatness(image); !why.empty()) {
        const std::lock_guard lock(mutex_);
        flat_.try_emplace(index, Quarantined{index, dataset_->name(index), why});
    }
    return image;
}

void Loader::decode_ahead(std::int64_t index) {
    try {
        const auto image = fetch(index);
        if (!cache_.empty()) return;
        const std::lock_guard lock(cache_mutex_);
        ahead_[index] = image;
    } catch (...) {  // it is met again where its row is made, and told then
    }
}

cv::Mat Loader::fetch(std::int64_t index) {
    {
        const std::lock_guard lock(cache_mutex_);
        if (!cache_.empty()) {
            const auto& cached = cache_[static_cast<std::size_t>(index)];
            if (!cached.empty()) return cached;
        } else if (auto found = ahead_.extract(index)) {
            return found.mapped();
        }
    }
    auto image = decoded(index);
    if (!cache_.empty()) {
        const std::lock_guard lock(cache_mutex_);
        cache_[static_cast<std::size_t>(index)] = image;
    }
    return image;
}

bool Loader::readable(std::int64_t index, cv::Mat& image) {
    const auto refuse_too_many = [&] {
        const auto count = static_cast<std::int64_t>(bad_.size()), all = dataset_->size();
        if (count < all && static_cast<double>(count) <= options_.max_bad * static_cast<double>(all)) return;
        if (const auto missing = most_missing(*dataset_); !missing.empty()) throw DataError(missing);
        throw DataError(fmt::format(
            "found {} unreadable images of {}, expected at most {:.2g} % (data.max_bad); one of them: {}",
            count, all, 100 * options_.max_bad, bad_.at(index).reason));
    };
    {
        const std::lock_guard lock(mutex_);
        if (bad_.count(index) != 0) {
            refuse_too_many();  // another worker may have met the last readable image
            return false;
        }
    }
    try {
        image = fetch(index);
        return true;
    } catch (const DataError& error) {
        const std::lock_guard lock(mutex_);
        bad_.try_emplace(index, Quarantined{index, dataset_->name(index), error.what()});
        refuse_too_many();
        return false;
    }
}

at::Tensor Loader::stacked(const std::string& name, const std::vector<at::Tensor>& rows,
                           const std::vector<std::int64_t>& indices) const {
    for (std::size_t i = 1; i < rows.size(); ++i) {
        if (rows[i].sizes() == rows[0].sizes()) continue;
        const auto written_by = options_.written_by ? options_.written_by(name) : "";
        throw PluginError(fmt::format(
            "{}view '{}': found [{}] of {} and [{}] of {}, expected one shape for all images, which a batch "
            "puts "
            "together",
            written_by.empty() ? "" : written_by + ": ", name, fmt::join(rows[0].sizes(), ", "),
            dataset_->name(indices[0]), fmt::join(rows[i].sizes(), ", "), dataset_->name(indices[i])));
    }
    const auto found = options_.batch_axis.find(name);
    const auto axis = found == options_.batch_axis.end() ? 0 : found->second;
    if (!options_.pinned) return at::stack(rows, axis);
    auto sizes = rows[0].sizes().vec();
    sizes.insert(sizes.begin() + axis, std::ssize(rows));
    auto out = at::empty(sizes, rows[0].options().pinned_memory(true));
    at::stack_out(out, rows, axis);
    return out;
}

void Loader::transform(Tensors& views, const RandomKey& key) const {
    if (!transform_) return;
    try {
        transform_(views, key);
    } catch (...) {
        const auto epoch = static_cast<std::int64_t>(key.epoch) / options_.copies;
        host::rethrow_with("", fmt::format(" (image {}, epoch {})",
                                           dataset_->name(static_cast<std::int64_t>(key.sample)), epoch + 1));
    }
}

void Loader::make_rows(const Job& job) {
    if (job.first == job.last) return;
    auto& batch = *job.batch;
    const auto& order = *batch.order;
    // An unreadable image is replaced by the next readable one of the epoch's order, which is the same in every run.
    auto place = static_cast<std::size_t>(job.first / options_.copies);
    cv::Mat image;
    while (!readable(order[place], image)) place = (place + 1) % order.size();
    const auto index = order[place];
    for (auto row = job.first; row < job.last; ++row) {
        Tensors views;
        const auto film = to_tensor(image, options_.channels);
        views.set("image", film);
        if (!options_.mask.empty())
            views.set("segmentation", segmentation_of(dataset_->mask(index, options_.mask), image));
        transform(views,
                  {.seed = options_.seed,
                   .epoch = static_cast<std::uint64_t>(batch.epoch * options_.copies + row % options_.copies),
                   .sample = static_cast<std::uint64_t>(index),
                   .stream = 0});
        const auto at = static_cast<std::size_t>(row - batch.first);
        for (const auto& name : delivered_)
            if (name != "index" && name != "label") batch.rows[at].set(name, views[name]);
        if (options_.narrow && batch.rows[at].has("image") && batch.rows[at]["image"].is_same(film))
            batch.rows[at].set("image", narrow_tensor(image));
        batch.indices[at] = index;
    }
}

Tensors Loader::assembled(const Assembly& batch) const {
    Tensors out;
    for (const auto& name : delivered_) {
        if (name == "index" || name == "label" || batch.rows.empty()) continue;
        std::vector<at::Tensor> rows;
        for (const auto& views : batch.rows) rows.push_back(views[name]);
        out.set(name, stacked(name, rows, batch.indices));
    }
    const auto locked = [&](const at::Tensor& tensor) {
        return options_.pinned ? tensor.pin_memory() : tensor;
    };
    out.set("index", locked(at::tensor(batch.indices)));
    if (options_.labels.empty() || batch.rows.empty()) return out;
    const auto width = std::max<std::int64_t>(1, options_.label_width);
    std::vector<std::int64_t> labels;
    for (const auto index : batch.indices)
        labels.insert(labels.end(), options_.labels.begin() + index * width,
                      options_.labels.begin() + (index + 1) * width);
    const auto label = at::tensor(labels);
    out.set("label", locked(options_.label_width > 0 ? label.view({-1, options_.label_width}) : label));
    return out;
}

std::vector<Quarantined> Loader::quarantine() const {
    const std::lock_guard lock(mutex_);
    std::vector<Quarantined> out;
    for (const auto& [index, entry] : bad_) out.push_back(entry);
    return out;
}

std::vector<Quarantined> Loader::flat() const {
    const std::lock_guard lock(mutex_);
    std::vector<Quarantined> out;
    for (const auto& [index, entry] : flat_) out.push_back(entry);
    return out;
}

double Loader::take_stall() {
    const std::lock_guard lock(mutex_);
    return std::exchange(stall_, 0.0);
}

}  // namespace hearth::data
