// Goes through all images of a labelled set, batch by batch.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>

#include "eval/probe/features.hpp"

namespace hearth::eval {

/// Receives images [B, C, S, S], on the CPU, and their indices in the set.
using BatchUse = std::function<void(const at::Tensor& images, const std::vector<std::int64_t>& indices)>;

/// Whether anything is known of the image; of several labels, any. True in a set without labels.
bool labelled(const Labels& labels, std::int64_t image);

/// How many images of the set have a label, at most `limit` where that is above 0; all of a set without labels.
std::int64_t count_labelled(const LabelledSet& set, std::int64_t limit);

/// Calls `use` for all readable images that have a label, each once, in the order of the set; with a `limit`
/// above 0 for so many of a fixed random order. A set without labels is taken whole. Returns those that were
/// met and cannot be read, however many they are, and those that were used and show next to nothing. Where
/// `device`, which `use` moves them to, is a GPU, images are in page-locked memory, from which it copies while
/// it computes.
OddImages for_each_batch(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t batch,
                         std::int64_t limit, const BatchUse& use, c10::Device device = c10::kCPU);

/// The images that several processes went through together, in the order in which one alone has them.
struct SharedBatches {
    std::vector<std::int64_t> images;
    std::vector<int> owners;  ///< by image the rank that `use` got it on
    OddImages odd;            ///< that this process met
};

/// The same by all processes of `comm`: `use` is called with every world-th of the batches that one process alone
/// has. Collective, while `use` may take its time: one call of all a batch.
SharedBatches share_batches(const LabelledSet& set, const recipe::DataSpec& data, std::int64_t batch,
                            std::int64_t limit, const BatchUse& use, c10::Device device, const Comm& comm);

/// What each process made of its own images [n, F], on all of them for all images [N, F], in their order; undefined
/// where there is no image. `own` is undefined in a process that had none. Collective.
at::Tensor gather_shared(const at::Tensor& own, const SharedBatches& shared, const Comm& comm);

/// "2 test images cannot be read and are left out: a.png, b.png", "" where there are none.
std::string unreadable_note(const std::vector<data::Quarantined>& unreadable, const std::string& images);

/// unreadable_note(), and such notes on the others.
std::vector<std::string> notes_on_odd(const OddImages& odd, const std::string& images);

/// The mask of an image; nothing where it is not known, or cannot be used: that is added to `unusable`.
std::optional<cv::Mat> usable_mask(const data::Dataset& images, std::int64_t image, const std::string& column,
                                   std::vector<data::Quarantined>& unusable);

}  // namespace hearth::eval
