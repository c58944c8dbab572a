#include "dist/process_group.hpp"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <torch/autograd.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <hearth/error.hpp>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace hearth::dist {
namespace {

using at::Tensor;

/// Calls `body`; whatever it throws means that the others are out of reach.
template <class Body>
auto reached(const ProcessGroup& group, const std::string& what, const Body& body) {
    try {
        return body();
    } catch (const c10::Error& error) {
        group.lost(what, error.what_without_backtrace());
    } catch (const Error&) {
        throw;
    } catch (const std::exception& error) {
        group.lost(what, error.what());
    }
}

std::vector<std::uint8_t> bytes_of(const std::string& text) {
    return {text.begin(), text.end()};
}

std::string text_of(const std::vector<std::uint8_t>& bytes) {
    return {bytes.begin(), bytes.end()};
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "a machine without a name";
}

/// Asks `whether` again and again, less and less often. Throws where that takes too long.
void wait_until(const std::function<bool()>& whether, std::chrono::seconds patience) {
    using namespace std::chrono_literals;
    const auto end = std::chrono::steady_clock::now() + patience;
    for (auto pause = 100us; !whether(); pause = std::min<std::chrono::microseconds>(2 * pause, 20ms)) {
        if (std::chrono::steady_clock::now() > end) throw std::runtime_error("not all processes came so far");
        std::this_thread::sleep_for(pause);
    }
}

/// Whether the backend tells of errors that no call threw.
bool notes_errors(c10d::Backend& backend) {
    try {
        static_cast<void>(backend.getError());
        return true;
    } catch (const c10::Error&) {
        return false;
    }
}

/// Concatenates along dimension 0; backward sums what all processes say about the rows of this one.
class Gather : public torch::autograd::Function<Gather> {
  public:
    static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const ProcessGroup* group) {
        const at::AutoDispatchBelowADInplaceOrView below;
        ctx->saved_data["group"] = reinterpret_cast<std::int64_t>(group);
        return group->all_gather(x, /*with_grad=*/false);
    }
    static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::tensor_list& gradients) {
        const auto* group = reinterpret_cast<const ProcessGroup*>(ctx->saved_data["group"].toInt());
        return {group->reduce_scatter_sum(gradients[0]), Tensor()};
    }
};

}  // namespace

ProcessGroup::ProcessGroup(const Launch& launch, c10::Device device, std::chrono::seconds timeout,
                           const GroupParts& parts)
    : launch_(launch), device_(device), timeout_(timeout), exceptions_(std::uncaught_exceptions()) {
    // NCCL and allocations without a device use the current one.
    host::use_device(device);
    reached(
        *this, fmt::format("joining {} processes at {}:{}", launch.world, launch.address, launch.port), [&] {
            c10d::TCPStoreOptions options;
            options.port = static_cast<std::uint16_t>(launch.port);
            options.isServer = launch.rank == 0;
            options.numWorkers = static_cast<std::size_t>(launch.world);
            options.timeout = timeout;
            // torchrun keeps a store of its own at this address: then nobody has to serve one.
            options.multiTenant = true;
            const auto agent = process_environment()("TORCHELASTIC_USE_AGENT_STORE");
            if (agent && *agent == "True") options.isServer = false;
            const auto restart = process_environment()("TORCHELASTIC_RESTART_COUNT").value_or("0");
            store_ = c10::make_intrusive<c10d::PrefixStore>(
                "hearth" + restart, c10::make_intrusive<c10d::TCPStore>(launch.address, options));
            expect_own_devices(parts.identity ? parts.identity(device) : identity_of(device));
            group_ = c10::make_intrusive<c10d::ProcessGroup>(store_, launch.rank, launch.world);
            if (device.has_index()) group_->setBoundDeviceId(device);
            const auto type =
                device.is_cpu() ? c10d::ProcessGroup::BackendType::GLOO : c10d::ProcessGroup::BackendType::NCCL;
            const auto backend =
                (parts.backend ? parts.backend : make_backend)(store_, launch, device, timeout);
            notes_errors_ = notes_errors(*backend);
            group_->setBackend(device.type(), type, backend);
            group_->setDefaultBackend(type);
        });
}

// An orderly end waits for what is under way; what another process will not take part in any more is broken off.
ProcessGroup::~ProcessGroup() {
    try {
        if (lost_ || std::uncaught_exceptions() > exceptions_)
            group_->abort();
        else
            group_->shutdown();
    } catch (const std::exception&) {  // the training is over, or what ended it is being told
    }
}

// Two processes on one GPU: NCCL says "invalid usage" at the first collective.
void ProcessGroup::expect_own_devices(const std::string& identity) const {
    const auto seat = [](int rank, const char* what) { return fmt::format("{} of {}", what, rank); };
    store_->set(seat(launch_.rank, "host"), bytes_of(host_name()));
    store_->set(seat(launch_.rank, "device"), bytes_of(identity));
    if (launch_.rank == 0) {
        std::vector<Seat> seats;
        for (int rank = 0; rank < launch_.world; ++rank)
            seats.push_back(
                {text_of(store_->get(seat(rank, "host"))), text_of(store_->get(seat(rank, "device")))});
        store_->set("shared device", bytes_of(shared_device(seats)));
    }
    const auto shared = text_of(store_->get("shared device"));
    if (shared.empty()) return;
    // The store ends with process 0: the others have to have read it.
    store_->add("told of a shared device", 1);
    if (launch_.rank == 0)
        wait_until([&] { return store_->add("told of a shared device", 0) == launch_.world; }, timeout_);
    throw RecipeError(shared);
}

void ProcessGroup::check(const std::string& what) const {
    if (!notes_errors_) return;
    const auto error = group_->getBackend(device_.type())->getError();
    if (error == c10d::ErrorType::SUCCESS) return;
    lost(what, error == c10d::ErrorType::TIMEOUT ? "a collective call took too long"
                                                 : "the connection to another process broke");
}

void ProcessGroup::settle(const std::string& what) const {
    if (device_.is_cuda()) c10::impl::VirtualGuardImpl(device_.type()).synchronizeDevice(device_.index());
    check(what);
}

void ProcessGroup::lost(const std::string& what, const std::string& reason) const {
    lost_ = true;
    throw CommunicationLost(
        fmt::format("process {} of {}: {} failed: {}. Another process ended, or did not answer within {} s; "
                    "its own message "
                    "says why. The same command with --resume goes on from the last checkpoint",
                    launch_.rank, launch_.world, what, reason.substr(0, reason.find('\n')), timeout_.count()));
}

void ProcessGroup::all_reduce_sum(Tensor& tensor) const {
    check("all-reduce");
    reached(*this, "all-reduce", [&] {
        const at::NoGradGuard no_grad;
        std::vector<Tensor> tensors = {tensor.to(device_).contiguous()};
        group_->allreduce(tensors)->wait();
        if (!tensors[0].is_same(tensor)) tensor.copy_(tensors[0]);
    });
}

Tensor ProcessGroup::all_gather(const Tensor& tensor, bool with_grad) const {
    if (with_grad && tensor.requires_grad()) return Gather::apply(tensor, this);
    check("all-gather");
    return reached(*this, "all-gather", [&] {
        const at::NoGradGuard no_grad;
        std::vector<Tensor> input = {tensor.detach().to(device_).contiguous()};
        std::vector<std::vector<Tensor>> parts(1);
        for (int i = 0; i < launch_.world; ++i) parts[0].push_back(at::empty_like(input[0]));
        group_->allgather(parts, input)->wait();
        return at::cat(parts[0]).to(tensor.device());
    });
}

Tensor ProcessGroup::reduce_scatter_sum(const Tensor& tensor) const {
    check("reduce-scatter");
    return reached(*this, "reduce-scatter", [&] {
        const at::NoGradGuard no_grad;
        auto all = tensor.detach().to(device_).contiguous();
        auto shape = all.sizes().vec();
        shape[0] /= launch_.world;
        auto part = at::empty(shape, all.options());
        group_->_reduce_scatter_base(part, all)->wait();
        return part.to(tensor.device());
    });
}

// Each call adds 1, and `yes` for true, to one of two numbers in turn. A process reads the number of the call
// before first: once all have added to that one, all have read the other, which the next may then add to.
bool ProcessGroup::any_before(bool here) const {
    constexpr std::int64_t yes = std::int64_t{1} << 40;
    const std::string what = "asking whether to stop";
    check(what);
    return reached(*this, what, [&] {
        const auto key = [](std::int64_t call) { return call % 2 == 0 ? "even calls" : "odd calls"; };
        bool before = false;
        if (asked_ > 0) {
            const auto call = asked_ - 1;
            std::int64_t number = 0;
            wait_until(
                [&] {
                    number = store_->add(key(call), 0);
                    return number % yes >= launch_.world * (call / 2 + 1);
                },
                timeout_);
            auto& told = yes_[static_cast<std::size_t>(call % 2)];
            before = number / yes > told;
            told = number / yes;
        }
        store_->add(key(asked_++), here ? yes + 1 : 1);
        return before;
    });
}

std::string ProcessGroup::from_first(const std::string& text) const {
    check("waiting for a word of process 0");
    const auto key = fmt::format("text{}", meetings_++);
    return reached(*this, "waiting for a word of process 0", [&] {
        if (launch_.rank == 0) store_->set(key, bytes_of(text));
        return text_of(store_->get(key));
    });
}

void ProcessGroup::wait_for_all(std::chrono::seconds patience) const {
    check("waiting for all processes");
    const auto key = fmt::format("meeting{}", meetings_++);
    reached(*this, "waiting for all processes", [&] {
        if (store_->add(key, 1) == launch_.world) store_->set(key + "done", std::vector<std::uint8_t>{1});
        store_->wait({key + "done"}, patience);
    });
}

int cores_of(const Comm& comm) {
    const auto* group = dynamic_cast<const ProcessGroup*>(&comm);
    return group == nullptr ? 0 : cores_for(group->launch());
}

}  // namespace hearth::dist
