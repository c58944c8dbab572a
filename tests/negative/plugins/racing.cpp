// An augment whose threads count its samples in one number, at once or one after the other.
#include <atomic>
#include <hearth/hearth.hpp>

namespace {

using namespace hearth;

class Racing : public Augment {
  public:
    static void schema(Schema& schema) { schema.boolean("safe", false).doc("whether the number is atomic"); }
    static Ports reads(const Options&) { return {Port("image", "B C H W", "image")}; }
    static Ports writes(const Options&) { return {Port("same", "B C H W", "the image as it is")}; }
    Racing(const Options& options, const Symbols&) : safe_(options.boolean("safe")) {}
    Tensors sample(const Tensors& views, Random&) const override {
        if (safe_)
            ++atomic_;
        else
            ++plain_;
        return {{"same", views["image"]}};
    }

  private:
    bool safe_;
    mutable std::atomic<int> atomic_ = 0;
    mutable int plain_ = 0;
};

}  // namespace

HEARTH_PLUGIN((PluginInfo{.id = "racing", .version = "0.1.0", .summary = "a race that changes nothing"}),
              component<Racing>())
