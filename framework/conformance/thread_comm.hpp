// A Comm over the threads of one process: what several ranks do is tried without launching any.
//   run_ranks(2, [&](const Comm& comm) { ... });    // each call on its own thread; exceptions come back
#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <hearth/context.hpp>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace hearth::conformance {

/// Where the threads meet. Sums go in the order of the ranks, so that every rank gets the same bits.
class Meeting {
  public:
    explicit Meeting(int ranks) : parts_(ranks) {}
    int ranks() const { return static_cast<int>(parts_.size()); }

    /// Everybody's tensor, in the order of the ranks. Throws where another rank has given up.
    std::vector<at::Tensor> exchange(int rank, const at::Tensor& mine) {
        parts_[rank] = mine;
        wait();
        auto all = parts_;
        wait();  // before anybody comes back with the next tensor
        return all;
    }
    void give_up() {
        const std::lock_guard lock(mutex_);
        broken_ = true;
        arrived_.notify_all();
    }

  private:
    void wait() {
        std::unique_lock lock(mutex_);
        const auto turn = turn_;
        if (++waiting_ == ranks()) {
            waiting_ = 0, ++turn_;
            arrived_.notify_all();
        }
        arrived_.wait(lock, [&] { return broken_ || turn_ != turn; });
        if (turn_ == turn) throw std::runtime_error("another rank gave up");
    }

    std::vector<at::Tensor> parts_;
    std::mutex mutex_;
    std::condition_variable arrived_;
    int waiting_ = 0;
    long turn_ = 0;
    bool broken_ = false;
};

/// Concatenation along dimension 0; backward sums the gradients of all ranks and keeps the own part.
struct GatherFunction : torch::autograd::Function<GatherFunction> {
    static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& tensor,
                              std::int64_t meeting, std::int64_t rank) {
        ctx->saved_data["meeting"] = meeting;
        ctx->saved_data["rank"] = rank;
        ctx->saved_data["size"] = tensor.size(0);
        return at::cat(reinterpret_cast<Meeting*>(meeting)->exchange(static_cast<int>(rank), tensor.detach()));
    }
    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                   const torch::autograd::variable_list& grads) {
        auto& meeting = *reinterpret_cast<Meeting*>(ctx->saved_data["meeting"].toInt());
        const auto rank = ctx->saved_data["rank"].toInt(), size = ctx->saved_data["size"].toInt();
        auto sum = at::zeros_like(grads[0]);
        for (const auto& part : meeting.exchange(static_cast<int>(rank), grads[0])) sum += part;
        return {sum.narrow(0, rank * size, size), at::Tensor(), at::Tensor()};
    }
};

class ThreadComm : public Comm {
  public:
    ThreadComm(int rank, Meeting& meeting) : rank_(rank), meeting_(meeting) {}
    int rank() const override { return rank_; }
    int world_size() const override { return meeting_.ranks(); }
    void all_reduce_sum(at::Tensor& tensor) const override {
        auto sum = at::zeros_like(tensor);
        for (const auto& part : meeting_.exchange(rank_, tensor.detach().clone())) sum += part;
        const at::NoGradGuard no_grad;
        tensor.copy_(sum);
    }
    at::Tensor all_gather(const at::Tensor& tensor, bool with_grad) const override {
        if (with_grad) return GatherFunction::apply(tensor, reinterpret_cast<std::int64_t>(&meeting_), rank_);
        return at::cat(meeting_.exchange(rank_, tensor.detach()));
    }

  private:
    int rank_;
    Meeting& meeting_;
};

inline void run_ranks(int ranks, const std::function<void(const Comm&)>& body) {
    Meeting meeting(ranks);
    std::vector<std::exception_ptr> failures(ranks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            try {
                body(ThreadComm(rank, meeting));
            } catch (...) {
                failures[rank] = std::current_exception();
                meeting.give_up();
            }
        });
    for (auto& thread : threads) thread.join();
    for (const auto& failure : failures)
        if (failure) std::rethrow_exception(failure);
}

}  // namespace hearth::conformance
