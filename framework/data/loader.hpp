// The loader makes batches ahead, so many and no more. All workers work on one batch, image by image, and then on the
// next. What a batch holds depends on (seed, epoch, batch number) alone: it is the same for any number of workers, and
// after a resume.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <hearth/random.hpp>
#include <hearth/tensors.hpp>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/dataset.hpp"

namespace hearth::data {

struct LoaderOptions {
    std::int64_t batch = 64;
    std::int64_t workers = 0;   ///< 0: one per core
    std::int64_t prefetch = 4;  ///< batches made ahead
    std::uint64_t seed = 0;
    std::int64_t channels = 1;  ///< the grey image is repeated
    bool shuffle = true;
    bool drop_last = true;  ///< leave out the last batch when it is smaller
    bool cache = true;      ///< keep decoded images in memory, 16 bit each
    /// Samples made of each image, in consecutive rows; an epoch makes so many of every image.
    std::int64_t copies = 1;
    /// Of `world` processes that share an epoch this is the one that gets every rank-th batch.
    std::int64_t rank = 0, world = 1;
    double max_bad = 0.01;  ///< share of the data set
    /// Where the batch axis of a view goes, if it is not the first: 1 for "G B C H W", a group of crops.
    std::map<std::string, std::int64_t> batch_axis = {};
    /// Class of each image for the tensor `label` [B] (int64), -1 = none; empty: there is no such tensor.
    std::vector<int> labels = {};
    /// K > 0: `labels` has K values an image and `label` is [B, K].
    std::int64_t label_width = 0;
    /// Column of masks for the view `segmentation` [B, 1, S, S], 1 inside, 0 outside, -1 where nothing is known
    /// of the image; "": there is no such view. Augments find it among the views of a sample.
    std::string mask = {};
    bool pinned = false;  ///< batches in page-locked memory, which a GPU copies from while it computes
    bool narrow = false;  ///< `image` as [B, 1, S, S] of uint16, for moved() or widened()
    /// Who writes a view, for messages; none: the view's name alone is told.
    std::function<std::string(const std::string& view)> written_by = {};
};

/// A mask, 255 inside, as the view `segmentation` has it: [1, S, S], 1 inside and 0 outside.
at::Tensor mask_tensor(const cv::Mat& mask);

/// What a narrow `image` is without LoaderOptions::narrow, bit for bit: [.., 1, S, S] of uint16 -> float
/// [.., channels, S, S] in [0, 1]. A tensor of another type is returned as it is.
at::Tensor widened(const at::Tensor& tensor, std::int64_t channels);

/// A tensor of a batch on `device`, widened there; nobody waits where it comes from page-locked memory.
at::Tensor moved(const at::Tensor& tensor, c10::Device device, std::int64_t channels);

/// Makes the calling thread one whose operations use no other thread, as those of workers do.
void stay_one_thread();

/// An image that could not be read, once, however often it was met.
struct Quarantined {
    std::int64_t index;
    std::string name, reason;
};

/// Makes the views of one sample; see Plan::augment.
using Transform = std::function<void(Tensors& views, const RandomKey& key)>;

class Loader {
  public:
    /// `delivered` names the tensors a batch holds: `image` [B, C, S, S], `index` and `label` [B] (int64), and
    /// views that `transform` adds.
    Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options, Transform transform,
           std::set<std::string> delivered);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    std::int64_t batches_per_epoch() const;
    /// Starts an epoch at a batch. Work under way for another one is thrown away. `another_follows`: when nothing is
    /// left to do for this one, the images that the next one begins with are decoded.
    void begin(std::int64_t epoch, std::int64_t first_batch = 0, bool another_follows = false);
    /// The next batch; false at the end of the epoch. Throws what a worker threw; DataError when more than
    /// max_bad images are bad; PluginError when a view has another shape for one image than for another.
    bool next(Tensors& batch);
    /// Whether next() has a batch at once.
    bool ready() const;

    std::vector<Quarantined> quarantine() const;
    /// Images met so far that are used and show next to nothing, with how (flatness()).
    std::vector<Quarantined> flat() const;
    /// Seconds spent waiting in next() since the last call.
    double take_stall();
    std::int64_t workers() const { return static_cast<std::int64_t>(threads_.size()); }
    std::int64_t channels() const { return options_.channels; }

  private:
    struct Result {
        Tensors batch;
        std::exception_ptr error;
    };
    /// A batch under way. Rows are written without a lock, each by the worker that took it.
    struct Assembly {
        std::int64_t epoch, number, generation;
        std::shared_ptr<const std::vector<std::int64_t>> order;
        std::int64_t first, last;  ///< rows of the epoch
        std::int64_t next;         ///< the first row that nobody took
        std::int64_t left;         ///< rows that are not done
        std::vector<Tensors> rows = {};
        std::vector<std::int64_t> indices = {};
        std::int64_t failed_row = -1;  ///< the first that failed, of `error`
        std::exception_ptr error = {};
    };
    /// Rows [first, last) of a batch, which are of one image.
    struct Job {
        std::shared_ptr<Assembly> batch;
        std::int64_t first = 0, last = 0;
    };
    void work();
    /// The next rows to make; none: nothing may be begun. Under the lock, as the two that follow.
    Job take_job();
    bool has_job() const;
    /// An image of the next epoch to decode; -1: none.
    std::int64_t take_image_ahead();
    void decode_ahead(std::int64_t index);
    void make_rows(const Job& job);
    Tensors assembled(const Assembly& batch) const;
    /// What goes wrong in it says at which image of which epoch.
    void transform(Tensors& views, const RandomKey& key) const;
    /// The view `name` of the images `indices`, with the batch axis where it belongs.
    at::Tensor stacked(const std::string& name, const std::vector<at::Tensor>& rows,
                       const std::vector<std::int64_t>& indices) const;
    cv::Mat fetch(std::int64_t index);
    cv::Mat decoded(std::int64_t index);
    bool readable(std::int64_t index, cv::Mat& image);
    std::vector<std::int64_t> order_of(std::int64_t epoch) const;
    /// First and last (not included) row of the epoch in a batch; of the last batches together a process may have none.
    std::pair<std::int64_t, std::int64_t> rows_of(std::int64_t number) const;

    std::shared_ptr<const Dataset> dataset_;
    LoaderOptions options_;
    Transform transform_;
    std::set<std::string> delivered_;

    mutable std::mutex mutex_;
    std::condition_variable wake_workers_, wake_consumer_;
    std::shared_ptr<const std::vector<std::int64_t>> order_;
    std::int64_t epoch_ = -1, next_job_ = 0, next_out_ = 0, generation_ = 0;
    std::shared_ptr<Assembly> filling_;  ///< the batch that has rows which nobody took, or none
    std::map<std::int64_t, Result> done_;
    std::vector<std::int64_t> to_decode_;  ///< images that the next epoch begins with, last first
    std::map<std::int64_t, Quarantined> bad_, flat_;
    bool stop_ = false;
    double stall_ = 0;

    std::vector<cv::Mat> cache_;             ///< CV_16U by index, guarded by cache_mutex_, as the next one
    std::map<std::int64_t, cv::Mat> ahead_;  ///< decoded before their epoch where there is no cache
    std::mutex cache_mutex_;
    std::vector<std::thread> threads_;
};

}  // namespace hearth::data
