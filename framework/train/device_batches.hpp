// Batches on their way to the device of a run.
#pragma once

#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <optional>

#include "data/loader.hpp"

namespace hearth::train {

/// Hands out a loader's batches on `device`. On a GPU one batch is ahead: its copy runs on a stream of its own while
/// the device computes on the one before, and whoever takes it makes the current stream wait for it, not the host.
class DeviceBatches {
  public:
    /// `loader` outlives it, and its batches are page-locked where `device` is a GPU.
    DeviceBatches(data::Loader& loader, c10::Device device);

    /// Starts an epoch; see Loader::begin().
    void begin(std::int64_t epoch, std::int64_t first_batch, bool another_follows);
    /// The next batch; false at the end of the epoch. Throws what Loader::next() does.
    bool next(Tensors& batch);
    /// Begins to copy the batch that comes next where it is made already. To be called when the device has work.
    void look_ahead();

  private:
    struct Copied {
        Tensors batch;
        c10::Event made;
    };
    Copied copied(const Tensors& batch) const;

    data::Loader& loader_;
    c10::Device device_;
    std::optional<c10::Stream> stream_;  ///< of the copies; none on the CPU
    std::optional<Copied> ahead_;
};

}  // namespace hearth::train
