#include "train/checkpoint_writer.hpp"

#include <system_error>
#include <utility>

#include "data/loader.hpp"
#include "host/last_words.hpp"

namespace hearth::train {

CheckpointWriter::~CheckpointWriter() {
    if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::begin(std::string what, Work write, Work written) {
    what_ = std::move(what);
    written_ = std::move(written);
    error_ = nullptr;
    done_ = false;
    const auto work = [this, write = std::move(write)] {
        try {
            write();
        } catch (...) {
            error_ = std::current_exception();
        }
        done_ = true;
    };
    try {
        thread_ = std::thread([work] {
            host::keep_signal_stack();
            data::stay_one_thread();
            work();
        });
    } catch (const std::system_error&) {
        work();
    }
}

void CheckpointWriter::poll() {
    if (!what_.empty() && done_) end();
}

void CheckpointWriter::settle() {
    if (!what_.empty()) end();
}

void CheckpointWriter::end() {
    if (thread_.joinable()) thread_.join();
    what_.clear();
    const auto written = std::exchange(written_, nullptr);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if (written) written();
}

}  // namespace hearth::train
