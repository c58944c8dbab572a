// TensorBoard reads scalars from event files, which are written here. No C++ writer is packaged; the format is
// two protobuf messages in TFRecord framing (tensorflow/core/util/event.proto), and tools/check_events.py
// checks it against PyPI's tensorboard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace hearth::train {

class EventWriter {
  public:
    /// Opens events.out.tfevents.<time>.hearth in `folder`.
    explicit EventWriter(const std::filesystem::path& folder);
    void scalar(const std::string& tag, std::int64_t step, double value);
    void flush() { out_.flush(); }

  private:
    void record(const std::string& event);
    std::ofstream out_;
};

}  // namespace hearth::train
