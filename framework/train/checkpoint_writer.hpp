// A checkpoint is written by a thread while training goes on: at most one at a time.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <string>
#include <thread>

namespace hearth::train {

///     writer.begin("last", [..] { write_safetensors(..); }, [&] { folder.update({{"step", 8}}); });
///     writer.poll();     // at the border of each step: says what was written, or throws why it was not
///     writer.settle();   // before anything that reads the file, and at the end
///
/// Everything but `write` runs in the thread that calls.
class CheckpointWriter {
  public:
    using Work = std::function<void()>;

    CheckpointWriter() = default;
    /// Waits; an error that nobody asked for is lost, and `written` is not called.
    ~CheckpointWriter();
    CheckpointWriter(const CheckpointWriter&) = delete;
    CheckpointWriter& operator=(const CheckpointWriter&) = delete;

    /// Starts `write`, in a thread of its own; `written` is called when it is done. settle() has been called since
    /// the last begin(). Where there can be no more threads, `write` is called here, before this returns.
    void begin(std::string what, Work write, Work written);
    /// What is being written: "" where nothing is.
    const std::string& what() const { return what_; }
    /// If it is done: calls `written`, or throws what `write` threw. Does not wait.
    void poll();
    /// The same after waiting for it.
    void settle();

  private:
    void end();

    std::string what_;
    Work written_;
    std::exception_ptr error_;  ///< of the thread
    std::atomic<bool> done_ = false;
    std::thread thread_;
};

}  // namespace hearth::train
