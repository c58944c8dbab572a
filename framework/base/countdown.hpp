// Verbs that look at one image after another show here how far they are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/activity.hpp"

namespace hearth::base {

/// Counts images on standard error (base/activity.hpp); copies count the same ones. Nothing where `quiet`.
class Countdown {
  public:
    /// `title` leads the line, and says what is done before the first and after the last image.
    explicit Countdown(bool quiet, std::string title = "")
        : title_(std::move(title)), activity_(std::make_shared<base::Activity>(quiet, title_)) {}

    void operator()(std::int64_t done, std::int64_t total) {
        activity_->count(done, total, "images");
        if (done >= total) activity_->now(title_);
    }
    /// The same of one part of the work after another.
    void operator()(const std::string& part, std::int64_t done, std::int64_t total) {
        activity_->now(part);
        (*this)(done, total);
    }

  private:
    std::string title_;
    std::shared_ptr<base::Activity> activity_;
};

}  // namespace hearth::base
